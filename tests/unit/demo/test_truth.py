"""The judge finds every true violation and no false one, however late and in whatever pieces truth and reads arrive."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from streamrec.demo.truth import Bought, Gone, Hint, Judge, MayReturn, Note, Read, Several, TruthLog, Watermark


def read(start: int, end: int, *items: str, user: str = "u") -> Read:
    return Read(start, end, f"rec:{user}", user, items)


def judged(notes: list[Note], *reads: Read) -> Judge:
    judge = Judge()
    for each in reads:
        judge.add(each)
    for note in notes:
        judge.note(note)
    judge.note(Watermark(10**9))
    return judge


def test_a_sold_out_item_in_a_read_that_began_after_the_acknowledgement_is_a_violation() -> None:
    judge = judged([Gone(100, "a")], read(100, 110, "b", "a"))
    assert judge.found == {"soldout_shown": 1}
    assert judge.examples[0].item_id == "a"


def test_a_read_that_began_before_the_acknowledgement_is_none() -> None:
    assert not judged([Gone(100, "a")], read(99, 150, "a")).found


def test_a_read_that_was_still_under_way_when_the_restock_was_published_is_none() -> None:
    assert not judged([Gone(100, "a"), MayReturn(200, "a")], read(150, 200, "a"), read(199, 300, "a"), read(201, 210, "a")).found


def test_a_read_that_ended_before_the_restock_was_published_is_a_violation_even_if_the_restock_is_known_when_it_is_judged() -> None:
    assert judged([Gone(100, "a"), MayReturn(200, "a")], read(150, 199, "a")).found == {"soldout_shown": 1}


def test_each_time_of_being_sold_out_counts_by_itself() -> None:
    notes: list[Note] = [Gone(100, "a"), MayReturn(200, "a"), Gone(300, "a"), MayReturn(400, "a")]
    reads = [read(start, start + 10, "a") for start in (50, 120, 250, 320, 450)]
    assert judged(notes, *reads).found == {"soldout_shown": 2}


def test_no_read_is_judged_before_the_truth_is_known_up_to_its_end() -> None:
    judge = Judge()
    judge.add(read(150, 160, "a"))
    judge.note(Watermark(159))
    assert judge.judged == 0
    judge.note(Watermark(160))
    assert judge.judged == 1


def test_truth_that_arrives_after_the_answer_still_convicts_it() -> None:
    judge = Judge()
    judge.add(read(150, 160, "a"))
    judge.note(Watermark(120))
    judge.note(Gone(140, "a"))
    judge.note(Watermark(200))
    assert judge.found == {"soldout_shown": 1}


def test_a_bought_item_may_not_be_shown_to_its_buyer_and_may_be_shown_to_others() -> None:
    notes: list[Note] = [Bought(100, "u", ("a", "b"))]
    judge = judged(notes, read(99, 120, "a"), read(100, 120, "b"), read(100, 120, "a", user="v"))
    assert judge.found == {"bought_shown": 1}


def test_past_the_cap_the_purchases_of_longest_ago_are_released_first() -> None:
    judge = Judge(max_bought=2)
    for n, item in enumerate(("a", "b", "c")):
        judge.note(Bought(n, "u", (item,)))
    for item in ("a", "b", "c"):
        judge.add(read(50, 60, item))
    judge.note(Watermark(100))
    assert sorted(violation.item_id for violation in judge.examples) == ["b", "c"]


def test_hints_are_no_truth() -> None:
    assert not judged([Hint(("u",), ("a",))], read(10, 20, "a")).found


def test_examples_are_bounded_and_counts_are_not() -> None:
    judge = judged([Gone(0, "a")], *(read(n, n + 1, "a") for n in range(1, 1001)))
    assert judge.found["soldout_shown"] == 1000
    assert len(judge.examples) == 20


def test_the_queue_of_waiting_reads_is_bounded() -> None:
    judge = Judge(max_waiting=2)
    judge.add(read(1, 2))
    assert judge.room
    judge.add(read(2, 3))
    assert not judge.room


@given(
    borders=st.lists(st.integers(1, 1000), unique=True, max_size=10).map(sorted),
    spans=st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 200)), max_size=30),
    cuts=st.lists(st.integers(0, 1200), max_size=10),
)
def test_verdicts_do_not_depend_on_when_watermarks_come(borders: list[int], spans: list[tuple[int, int]], cuts: list[int]) -> None:
    """Feeding the same truth and reads in one piece or in many gives the verdicts of the definition."""
    notes = [Gone(at, "a") if n % 2 == 0 else MayReturn(at, "a") for n, at in enumerate(borders)]
    reads = sorted((read(start, start + length, "a") for start, length in spans), key=lambda each: each.end_ns)
    intervals = [(start, borders[n + 1] if n + 1 < len(borders) else 10**9) for n, start in enumerate(borders) if n % 2 == 0]
    expected = sum(any(start <= r.start_ns and r.end_ns < end for start, end in intervals) for r in reads)
    judge = Judge(max_intervals=100)
    steps = (
        [(r.end_ns, 0, r) for r in reads] + [(note.at_ns, 1, note) for note in notes] + [(cut, 2, Watermark(cut)) for cut in cuts]
    )
    for _, _, step in sorted(steps, key=lambda entry: entry[:2]):
        if isinstance(step, Read):
            judge.add(step)
        else:
            judge.note(step)
    judge.note(Watermark(10**9))
    assert judge.found["soldout_shown"] == expected
    assert judge.judged == len(reads)


def test_notes_from_many_threads_leave_in_order_of_their_times() -> None:
    sent: list[Note] = []
    log = TruthLog(sent.append)

    def work(n: int) -> None:
        for _ in range(200):
            log.gone(f"i{n}")
            log.watermark()
            log.may_return(f"i{n}")
            log.bought("u", ("x",))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [note.at_ns for note in sent if not isinstance(note, Hint | Several)]
    assert times == sorted(times)
    assert len(times) == 4 * 200 * 4


def test_notes_of_many_items_at_once_are_judged_like_single_ones() -> None:
    sent: list[Note] = []
    times = iter(range(10, 1000, 10))
    log, judge = TruthLog(sent.append, lambda: next(times)), Judge()
    log.all_gone(["a", "b"])  # at 10
    log.all_may_return(["b"])  # at 20
    log.watermark()  # at 30
    judge.add(Read(12, 14, "rec:u", "u", ("a", "b", "c")))
    judge.add(Read(22, 24, "rec:u", "u", ("a", "b", "c")))
    for note in sent:
        judge.note(note)
    assert [(one.item_id, one.after_ms) for one in judge.examples] == [("a", 2e-6), ("b", 2e-6), ("a", 12e-6)]


def test_the_judge_forgets_what_no_read_can_lie_in_any_more() -> None:
    judge = Judge()
    for n in range(1000):
        judge.note(Gone(10 * n, f"i{n}"))
        judge.note(MayReturn(10 * n + 5, f"i{n}"))
        judge.note(Watermark(10 * n + 9))
    assert len(judge.open_items) == 0
    judge.note(Gone(20_000, "x"))
    judge.add(Read(20_001, 20_002, "rec:u", "u", ("x",)))
    judge.note(MayReturn(20_003, "x"))
    judge.note(Watermark(20_004))
    assert judge.found["soldout_shown"] == 1
