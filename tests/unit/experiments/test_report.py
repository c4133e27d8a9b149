"""The report finds the better variant, finds nothing where there is nothing, and says when it must not be believed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from streamrec.errors import InvalidMessage
from streamrec.events import decode, encode
from streamrec.events.topics import CLICKS, IMPRESSIONS, ORDERS
from streamrec.experiments.reading import Reading
from streamrec.experiments.report import Report, make_report
from streamrec.experiments.split import Split
from tests.unit.experiments.events import CONTROL, DAY, HOT, LABELS, MINUTE, SPLIT, T0, Told, click, order, plan, shown, users

TOPIC_OF = {"Impressions": IMPRESSIONS, "Click": CLICKS, "Order": ORDERS}


def shop(n: int, rates: tuple[float, float], *, seed: int = 1, lost: float = 0.0) -> list[Told]:
    """Return what ``n`` visitors do, who click on an item shown at the rate of their variant, and buy after some clicks.

    Of the second variant's visitors the part ``lost`` leaves no trace.
    """
    rng, events = np.random.default_rng(seed), list[Told]()
    for number in range(n):
        user_id, at = f"v{number}", number * MINUTE // 10
        variant = SPLIT.variant(user_id)
        if variant and rng.random() < lost:
            continue
        for visit in range(int(rng.geometric(0.5))):
            items = [f"i{item}" for item in rng.integers(0, 50, 8).tolist()]
            events.append(shown(user_id, *items, at=at + visit * MINUTE))
            taken = [item for item in dict.fromkeys(items) if rng.random() < rates[variant]]
            events += [click(user_id, item, at + visit * MINUTE + 1) for item in taken]
            events += [order(user_id, item, at=at + visit * MINUTE + 2) for item in taken if rng.random() < 0.3]
    return events


def report(events: list[Told], **changes: object) -> Report:
    return make_report(plan(**changes), lambda: events)


def test_the_better_variant_is_found_with_an_interval_around_what_is_true() -> None:
    found = report(shop(2500, (0.10, 0.13)))
    control, hot = found.variants
    assert (control.name, hot.name, control.share) == ("control", "hot", 0.5)
    assert control.ctr is not None
    assert control.ctr.difference is None
    for variant, rate in ((control, 0.10), (hot, 0.13)):
        assert variant.ctr is not None
        assert variant.ctr.interval is not None
        assert variant.ctr.interval[0] < rate < variant.ctr.interval[1]
    assert hot.ctr is not None
    difference = hot.ctr.difference
    assert difference is not None
    assert difference.interval is not None
    assert 0 < difference.interval[0] < 0.03 < difference.interval[1]
    assert difference.p < 1e-4
    assert difference.lift == pytest.approx(0.3, abs=0.1)
    assert hot.conversion is not None
    assert hot.conversion.difference is not None
    assert hot.conversion.difference.p < 0.01
    assert not found.sample_ratio.mismatch
    assert found.notes == ()


def test_two_variants_that_are_one_do_not_differ() -> None:
    below = 0
    for seed in range(12):
        hot = report(shop(300, (0.1, 0.1), seed=seed)).variants[1]
        assert hot.ctr is not None
        assert hot.ctr.difference is not None
        below += hot.ctr.difference.p < 0.05
    assert below <= 3  # more come about in 2 of 1000 draws


def test_visitors_that_one_variant_loses_are_a_mismatch_and_nothing_else_is() -> None:
    lost = report(shop(2000, (0.1, 0.1), lost=0.25)).sample_ratio
    assert lost.mismatch
    assert lost.p < 0.001
    assert "same experiment settings" in lost.advice
    whole = report(shop(2000, (0.1, 0.1))).sample_ratio
    assert (whole.mismatch, whole.advice) == (False, "")
    assert whole.p > 0.001


def test_the_split_is_tested_against_the_configured_weights() -> None:
    thirds = Split("tea", (2, 1))
    events = [shown(user_id, "a", variant=LABELS[thirds.variant(user_id)]) for user_id in (f"v{number}" for number in range(3000))]
    found = report(events, split=thirds)
    assert [variant.expected for variant in found.variants] == [2000, 1000]
    assert not found.sample_ratio.mismatch
    # Whoever reports with other weights than the workers split by learns that something is wrong.
    other = report(events)
    assert other.left_out["misplaced"] > 300
    assert other.sample_ratio.mismatch
    assert any("other settings than this report" in note for note in other.notes)


def test_it_reads_as_often_as_it_must_and_says_the_same() -> None:
    events = shop(300, (0.1, 0.2))
    times = 0

    def source() -> list[Told]:
        nonlocal times
        times += 1
        return events

    assert make_report(plan(), source, max_rows=700) == report(events)
    assert times > 3


@pytest.mark.parametrize("events", [[], [shown(CONTROL, "a")], [shown(CONTROL, "a"), shown(HOT, "a"), click(HOT, "a", MINUTE)]])
def test_however_little_there_is_it_is_json_and_says_that_it_is_little(events: list[Told]) -> None:
    found = report(events)
    text = json.dumps(found.plain(), allow_nan=False)
    assert json.loads(text)["variants"][0]["visitors"] == min(len(events), 1)
    assert any("run it longer" in note for note in found.notes)
    assert not found.sample_ratio.mismatch


def test_what_is_left_out_is_said() -> None:
    events = shop(200, (0.1, 0.1))
    assert any("publish them to events.impressions" in note for note in report([]).notes)
    assert any("must send the `variant`" in note for note in report([shown(CONTROL, "a", variant="")]).notes)
    wrong = [
        shown(CONTROL, "x", variant=LABELS[1]),
        shown(CONTROL, "x", at=1),
        shown(HOT, "x", variant="tea:cold"),
        shown(users(1, 9)[8], "x", variant=LABELS[0]),
    ]
    found = report(events + wrong)
    assert found.left_out == {"crossed": 1, "misplaced": 1, "unbounded": 0}
    assert found.events["of_other_variants"] == 1
    notes = " ".join(found.notes)
    for part in ("seen in several variants", "in another variant than theirs", "of variants that there are not"):
        assert part in notes


def test_of_several_variants_each_is_compared_with_the_first() -> None:
    labels, split = ("tea:a", "tea:b", "tea:c"), Split("tea", (1, 1, 1))
    names = [f"v{number}" for number in range(600)]
    events = [shown(name, "x", "y", variant=labels[split.variant(name)]) for name in names]
    events += [click(name, "x", MINUTE) for name in names if split.variant(name) == 2]
    found = report(events, labels=labels, split=split)
    differences = [variant.ctr.difference for variant in found.variants if variant.ctr is not None]
    assert [None if one is None else one.value for one in differences] == [None, 0.0, 0.5]
    assert found.sample_ratio.degrees == 2
    assert any("several variants" in note for note in found.notes)


def test_records_that_are_no_events_are_passed_over_and_counted() -> None:
    events = shop(20, (0.3, 0.3))
    batches = [
        (TOPIC_OF[type(event).__name__], [user.encode()], [encode(event, TOPIC_OF[type(event).__name__])]) for user, event in events
    ]
    poison = (CLICKS, [b"v1", b"v1", None], [b"{", encode(events[0][1], IMPRESSIONS), encode(click("v1", "i1", 5)[1], CLICKS)])
    with pytest.raises(InvalidMessage):
        decode(CLICKS, b"v1", poison[2][1], T0 + DAY)
    heard: list[int] = []
    reading = Reading(lambda: [*batches, poison], T0 + DAY, max_future_ms=0, tell=heard.append)
    assert make_report(plan(), reading) == report(events)
    assert reading.invalid == 3
    assert sum(heard) == len(events) + 3
    assert list(reading()) == events
