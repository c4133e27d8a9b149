"""The same visitor is always in the same variant, in shares that were asked for, and experiments do not know of each other."""

from __future__ import annotations

import pytest
from scipy.special import chdtrc

from streamrec.config import ExperimentSettings, VariantSettings
from streamrec.experiments.split import Split

USERS = [f"user-{n}" for n in range(20_000)]


def _counts(split: Split, users: list[str]) -> list[int]:
    found = [split.variant(user_id) for user_id in users]
    return [found.count(number) for number in range(len(split.shares))]


def test_who_is_where_is_the_same_in_every_process_and_release() -> None:
    """Another hash would move half of the visitors in the middle of an experiment."""
    split = Split("tea", (1, 1, 2))
    assert [split.variant(user_id) for user_id in ("ann", "bob", "eve", "joe", "café", "访客", "user 7")] == [0, 2, 1, 1, 2, 1, 2]


@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (0.2, 0.3, 0.5), (5, 1, 1, 1)])
def test_visitors_are_shared_out_by_weight(weights: tuple[float, ...]) -> None:
    split = Split("shares", weights)
    expected = [len(USERS) * share for share in split.shares]
    statistic = sum((found - wanted) ** 2 / wanted for found, wanted in zip(_counts(split, USERS), expected, strict=True))
    assert sum(split.shares) == pytest.approx(1)
    assert chdtrc(len(weights) - 1, statistic) > 0.01


def test_two_experiments_split_independently() -> None:
    one, other = Split("one", (1, 1)), Split("two", (1, 1))
    for number in (0, 1):
        mine = [user_id for user_id in USERS if one.variant(user_id) == number]
        few, many = sorted(_counts(other, mine))
        assert many - few < 4 * len(mine) ** 0.5  # four standard deviations of a fair coin


def test_names_and_ids_do_not_run_into_each_other() -> None:
    users = [f"{n}" for n in range(200)]
    glued = [Split("a1", (1, 1)).variant(user_id) for user_id in users]
    assert glued != [Split("a", (1, 1)).variant(f"1{user_id}") for user_id in users]


def test_another_weight_moves_only_visitors_towards_what_grew() -> None:
    before, after = Split("s", (1, 1)), Split("s", (1, 3))
    moves = {(before.variant(user_id), after.variant(user_id)) for user_id in USERS}
    assert moves == {(0, 0), (1, 1), (0, 1)}


def test_the_salt_is_the_name_unless_it_is_given() -> None:
    variants = (VariantSettings(name="a"), VariantSettings(name="b"))
    named = Split.of(ExperimentSettings(name="spring", variants=variants))
    salted = Split.of(ExperimentSettings(name="summer", salt="spring", variants=variants))
    other = Split.of(ExperimentSettings(name="summer", variants=variants))
    found = [[split.variant(user_id) for user_id in USERS[:200]] for split in (named, salted, other)]
    assert found[0] == found[1] != found[2]
