"""First rank, then learn: nothing of what is asked for is known when it is asked for."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pytest

from streamrec.config import Settings
from streamrec.evaluate.methods import Method, Parts, ablations, build
from streamrec.evaluate.methods.popular import Popular
from streamrec.evaluate.methods.shop import Shop, Streamrec
from streamrec.evaluate.replay import ALL, NEW, Plan, Replay, sampled
from streamrec.evaluate.sessions import last_days
from streamrec.evaluate.streams import Step, Stream
from tests.unit.evaluate.toys import DAY_MS, T0, click, item, stream, visits


class Parrot:
    """Says again what it heard last: right always where a target is told before it is asked for, never where items differ."""

    fitted_ms: int | None = None
    nbytes = 0

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.remembered: list[str] = []

    def learn(self, step: Step) -> None:
        self.heard += step.items

    def remember(self, step: Step) -> None:
        self.remembered += step.items

    def settle(self) -> None: ...

    def recommend(self, visitor: str, now_ms: int, k: int, exclude: Set[str] = frozenset()) -> list[str]:
        return [item_id for item_id in self.heard[-1:] if item_id not in exclude]


class Shameless(Parrot):
    """Repeats itself."""

    def recommend(self, visitor: str, now_ms: int, k: int, exclude: Set[str] = frozenset()) -> list[str]:
        return ["a", "a"]


def everything(toy: Stream) -> Plan:
    return sampled(toy, sample=0, warm_up=0.0, seed=1)


def played(toy: Stream, method: Method, plan: Plan | None = None) -> Replay:
    replay = Replay(toy, None, {"it": method})
    replay.run(plan or everything(toy))
    return replay


def test_a_method_that_says_what_it_heard_last_is_never_right_where_all_items_differ() -> None:
    toy = visits("abcdef", "ghijkl")
    assert played(toy, Parrot()).tallies[ALL].figures("it")["hr@20"] == 0.0


def test_the_test_above_would_see_a_leak() -> None:
    """The same replay with every step told one place too early: the parrot is always right."""
    toy = visits("abcdef", "ghijkl")
    ahead = Parrot()
    replay = Replay(toy, None, {"it": ahead})
    plan = everything(toy)
    for step in toy.steps:
        ahead.learn(step)
        if step.items:
            replay._ask(step)
        replay._tell(step, frozen=True)
    assert plan.asked.sum() == 12
    assert replay.tallies[ALL].figures("it")["hr@20"] == 1.0


def test_every_step_is_heard_in_order_asked_about_or_not() -> None:
    toy, parrot = visits("abab", "cd"), Parrot()
    played(toy, parrot, Plan(np.zeros(len(toy.steps), np.bool_), len(toy.steps)))
    assert "".join(parrot.heard) == "ababcd"


def test_repeats_count_among_all_targets_and_not_among_new_ones() -> None:
    replay = played(visits("aab"), Parrot())
    assert [len(replay.tallies[protocol]) for protocol in (ALL, NEW)] == [3, 2]
    assert replay.tallies[ALL].figures("it")["hr@20"] == 0.5
    assert replay.tallies[NEW].figures("it")["hr@20"] == 0.0


def test_a_visitors_first_interaction_is_a_segment_and_no_part_of_the_totals() -> None:
    figures = played(visits("ab", "abc"), Popular()).tallies[ALL].figures("it")
    assert figures["segments"]["first_interaction"]["interactions"] == 2
    assert figures["segments"]["new_visitor"]["interactions"] == 2
    assert figures["segments"]["returning_visitor"]["interactions"] == 1
    # Of b, b and c only the second b was ever met before.
    assert figures["hr@20"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["segments"]["first_interaction"]["hr@20"] == 0.5


def test_an_item_is_new_until_it_was_met_five_times_and_a_session_long_after_five() -> None:
    figures = played(visits("a", "a", "a", "a", "ba", "bcdefa"), Popular()).tallies[ALL].figures("it")
    segments = figures["segments"]
    # Next interactions: a (met four times), then c, d, e, f (never) and a (five times).
    assert segments["new_item"]["interactions"] == 5
    assert segments["long_session"]["interactions"] == 1
    assert segments["long_session"]["hr@20"] == 1.0


def test_figures_of_lists_are_those_of_the_lists() -> None:
    """Two items are met, one by everybody; popularity lists both from the second visitor on."""
    figures = played(visits("ab", "a", "ac"), Popular()).tallies[ALL].figures("it")
    assert figures["coverage"] == pytest.approx(2 / 3, abs=1e-4)
    # The head is one of three items. Asked after a: [a], and after a, b, a, a: [a, b].
    assert figures["longtail_share"] == pytest.approx((0 + 0.5) / 2)
    assert figures["cold_lists"] == 1.0
    assert figures["diversity"] is None
    assert figures["freshness_s"] == 0.0


def test_a_list_that_repeats_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="method it: a list repeats itself"):
        played(visits("ab"), Shameless())


def test_a_sample_is_the_same_for_a_seed_and_leaves_out_the_warm_up() -> None:
    toy = visits(*["abcde"] * 20)
    first, again, other = (sampled(toy, sample=10, warm_up=0.5, seed=seed) for seed in (1, 1, 2))
    assert first.asked.tolist() == again.asked.tolist() != other.asked.tolist()
    opening = {toy.steps.index(next(step for step in toy.steps if step.visitor == f"visitor-{n}")) for n in range(20)}
    asked = set(np.flatnonzero(first.asked).tolist())
    assert (len(asked - opening), len(asked & opening)) == (10, 2)
    assert not first.asked[: len(toy.steps) // 2].any()
    assert sampled(toy, sample=0, warm_up=0.0, seed=1).asked.sum() == 100


def test_the_session_protocol_tests_the_last_days_and_learns_nothing_there() -> None:
    early = [click(f"early-{n}", letter, T0 + n * 1000 + m) for n in range(3) for m, letter in enumerate("abc")]
    late = [click("late", letter, T0 + 3 * DAY_MS + m * 1000) for m, letter in enumerate("abzc")]
    astride = [click("late", "c", T0)]  # the visitor's session of long ago is training
    toy = stream([item(name, name) for name in "abcz"] + early + late + astride)
    apart, plan = last_days(toy, 1)
    assert ["".join(step.items) for step, asked in zip(apart.steps, plan.asked, strict=True) if asked] == ["b", "c"]
    parrot = Parrot()
    played(apart, parrot, plan)
    assert "".join(parrot.heard).endswith("c")
    assert len(parrot.heard) == 10
    assert parrot.remembered == list("abzc")


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"index": {"kind": "exact", "threads": 1}})


def test_our_lists_are_those_that_each_records_being_published_at_once_would_give(settings: Settings) -> None:
    toy = visits(*["abcd", "bcda", "abx", "cdx", "xab", "dcb"] * 3)
    lazy, eager = Streamrec(Shop(settings, None)), Streamrec(Shop(settings, None))
    for number, step in enumerate(toy.steps):
        for method in (lazy, eager):
            method.learn(step)
        eager.settle()
        if number % 7 == 0:
            lazy.settle()
            assert lazy.recommend(step.visitor, step.at_ms, 4) == eager.recommend(step.visitor, step.at_ms, 4)


def test_variants_of_our_ranking_share_one_state_that_learns_each_step_once(settings: Settings) -> None:
    toy = visits("abc", "abd", "abc")
    built, _ = build(("streamrec",), Parts(settings, toy, None, 1.0))
    methods = built | ablations(built["streamrec"])
    for step in toy.steps:
        for method in methods.values():
            method.learn(step)
    shops = {id(method.shop) for method in methods.values()}  # type: ignore[attr-defined]
    assert len(shops) == 1
    shop = next(iter(methods.values())).shop  # type: ignore[attr-defined]
    assert [interaction.item_id for interaction in shop.profile("visitor-1").recent] == ["d", "b", "a"]
    for method in methods.values():
        method.settle()
    whole = methods["streamrec"].recommend("visitor-0", T0 + DAY_MS, 4, {"a", "b", "c"})
    assert whole == ["d"]
