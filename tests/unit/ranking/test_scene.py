"""What is kept between batches never shows in a list."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.events import Click
from streamrec.ranking import Ranker, Ranking
from streamrec.ranking.scene import _MAX_SCENES, Scenes
from tests.unit.ranking.worlds import NOW, T0, World, visitor

ITEMS = 60
VISITORS = [visitor(*(Click(item_id=f"i{n}", ts=T0 + n) for n in range(start, start + 7))) for start in range(0, 30, 6)]


def unlike(rng: np.random.Generator) -> list[float]:
    return [float(x) for x in rng.standard_normal(4)]


def change(world: World, rng: np.random.Generator, step: int) -> None:
    """Make one of the changes that a shop knows; new items come too."""
    item, other = (f"i{n}" for n in rng.integers(0, ITEMS + 10, 2))
    kind = step % 7
    if kind == 0:
        world.stock(item, int(rng.integers(0, 2)))
    elif kind == 1:
        world.met(item, float(rng.integers(1, 9)), {other: 2.0})
    elif kind == 2:
        world.item(item, unlike(rng), ts=T0 + step * 1000, category=str(step % 3))
    elif kind == 3:
        world.neighbours.update(item, None)
    elif kind == 4:
        world.campaign(f"c{step % 4}", ("boost", "exclude", "pin")[step % 3], item, **({"slots": (2,)} if step % 3 == 2 else {}))
    elif kind == 5:
        world.campaigns.update(f"c{step % 4}", None, world.order())
    elif (row := world.items.find(item)) >= 0:
        world.index.block([row])


def lists(rankings: list[Ranking]) -> list[tuple[list[float], ...]]:
    return [(r.rows.tolist(), r.scores.tolist(), r.reasons.tolist(), r.evidence.tolist()) for r in rankings]


@pytest.mark.parametrize("seed", range(3))
def test_a_ranker_that_lived_through_every_change_ranks_like_a_new_one(seed: int) -> None:
    world, rng = World(), np.random.default_rng(seed)
    for n in range(ITEMS):
        world.item(f"i{n}", unlike(rng), ts=T0 + n)
    for step in range(70):
        change(world, rng, step)
        new = Ranker(world.items, world.index, world.neighbours, world.campaigns, world.settings)
        assert lists(world.ranker.rank(VISITORS, NOW, k=20)) == lists(new.rank(VISITORS, NOW, k=20)), f"step {step}"


def test_an_unchanged_shop_has_one_scene_and_many_campaigns_keep_few() -> None:
    world = World()
    world.item("a", (1, 0, 0, 0))
    scenes = Scenes(world.items, world.index, world.neighbours, world.settings)
    effects = world.campaigns.effects(NOW, world.items)
    assert scenes.get(effects) is scenes.get(effects)
    for n in range(3 * _MAX_SCENES):
        world.campaign(f"c{n}", "boost", "a", factor=2.0)
        scenes.get(world.campaigns.effects(NOW, world.items))
    assert len(scenes._scenes) <= len(scenes._shelves) <= _MAX_SCENES
