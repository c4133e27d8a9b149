"""A click tells which part spoke for what was clicked; what is learnt moves the lists towards what visitors choose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamrec.config import RankingSettings
from streamrec.events import Click
from streamrec.ranking import Reason
from streamrec.ranking.lessons import lesson, lesson_of
from streamrec.ranking.score import PARTS
from tests.unit.ranking.worlds import NOW, T0, World, visitor

SHARES = st.floats(0, 1, allow_subnormal=False)


@given(
    parts=st.integers(2, 8).flatmap(lambda n: arrays(np.float64, (len(PARTS), n), elements=SHARES)),
    place=st.integers(0, 7),
    passed_over=SHARES,
)
def test_a_lesson_is_bounded_and_what_one_part_gains_the_others_lose(
    parts: np.ndarray[tuple[int, int], np.dtype[np.float64]], place: int, passed_over: float
) -> None:
    told = lesson(parts, place % parts.shape[1], passed_over)
    assert (np.abs(told) <= 1 + 1e-9).all()
    assert told.sum() <= 1 + 1e-6
    if parts.sum(axis=0).min() > 1e-3:
        assert abs(told.sum()) < 1e-5
    # A part that is switched off stays out of it.
    silent = ~parts.any(axis=1)
    assert not told[silent].any()


def test_a_part_that_speaks_for_all_alike_is_not_moved() -> None:
    assert lesson(np.array([[0.2, 0.2, 0.2], [0.4, 0.4, 0.4]]), 1, 0.9) == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_click_below_what_a_part_had_put_first_counts_against_that_part() -> None:
    parts = np.array([[0.9, 0.1, 0.0], [0.0, 0.1, 0.5]])
    told = lesson(parts, 2, 0.9)
    assert told[0] < 0 < told[1]
    assert lesson(parts, 0, 0.9)[0] > 0


def test_what_stands_below_the_click_counts_by_the_chance_that_it_was_looked_at() -> None:
    parts = np.array([[0.5, 0.0], [0.0, 0.5]])
    first = [lesson(parts, 0, passed_over)[0] for passed_over in (0.0, 0.5, 1.0)]
    assert first == pytest.approx([0.0, 1 / 3, 0.5], abs=1e-6)


def _shop() -> World:
    """Tea is near to tea; jam is what everybody meets after tea."""
    world = World(RankingSettings(explore_every=0, weight_new=0.0))
    for n in range(6):
        world.item(f"tea{n}", (1.0, 0.02 * n, 0.0, 0.0))
        world.item(f"jam{n}", (0.0, 0.0, 1.0, 0.02 * n))
        world.met(f"tea{n}", 5.0, visitors=9.0)
        world.met(f"jam{n}", 5.0, visitors=9.0)
    world.met("tea0", 5.0, {f"jam{n}": 2.0 for n in range(6)}, total=12.0, visitors=9.0)
    return world


def test_clicks_on_one_kind_of_reason_bring_it_up_and_a_learnt_factor_is_in_the_explanation() -> None:
    world = _shop()
    mine = visitor(Click(item_id="tea0", ts=T0))
    together, content = PARTS.index(Reason.TOGETHER), PARTS.index(Reason.CONTENT)
    listed = world.ids(Click(item_id="tea0", ts=T0))
    assert listed.index("jam0") < listed.index("tea1")
    before = world.ranker.explain(mine, "tea1", NOW).parts
    logs = np.zeros(len(PARTS))
    for _ in range(200):
        [trace] = world.ranker.traces([mine], NOW, 10)
        names = world.items.ids(trace.rows[trace.selection.chosen])
        logs += 0.02 * lesson_of(trace, trace.selection.chosen, names.index("tea1"), 0.9)
        world.ranker.learnt = {"home": np.exp(logs.clip(-2, 2))}
    assert logs[content] > 0 > logs[together]
    listed = world.ids(Click(item_id="tea0", ts=T0))
    assert listed.index("tea1") < listed.index("jam0")
    told = world.ranker.explain(mine, "tea1", NOW)
    assert told.parts["content"] > before["content"]
    assert told.learnt["content"] > 1 > told.learnt["together"]


def test_what_is_learnt_for_home_leaves_the_cart_page_alone_and_so_does_the_switch() -> None:
    world = _shop()
    mine = visitor(Click(item_id="tea0", ts=T0))
    factors = np.full(len(PARTS), 1.0)
    factors[PARTS.index(Reason.TOGETHER)] = 1 / 3
    before = [world.ranker.rank([mine], NOW, placement=placement)[0].scores.tolist() for placement in ("home", "cart")]
    world.ranker.learnt = {"home": factors}
    after = [world.ranker.rank([mine], NOW, placement=placement)[0].scores.tolist() for placement in ("home", "cart")]
    assert after[0] != before[0]
    assert after[1] == before[1]
    off = world.ranker.with_settings(world.settings.model_copy(update={"learnt": False}))
    off.learnt = world.ranker.learnt
    assert off.rank([mine], NOW)[0].scores.tolist() == before[0]
    assert world.ranker.with_settings(world.settings).learnt == {}
