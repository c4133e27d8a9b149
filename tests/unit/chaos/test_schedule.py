"""Faults come as the seed says: the same for the same seed, one per target at a time, all over in time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from streamrec.chaos.faults import FAULTS, OF_BROKER
from streamrec.chaos.run import chosen_faults
from streamrec.chaos.schedule import schedule
from streamrec.errors import LocalStackError

NAMES = list(FAULTS)


@pytest.mark.parametrize("seed", range(20))
def test_one_per_target_at_a_time_and_all_over_in_time(seed: int) -> None:
    planned = schedule(seed, 120, NAMES)
    assert planned == schedule(seed, 120, NAMES)
    assert len(planned) >= 5
    assert all(0 < one.at_s <= one.ends_s <= 120.01 for one in planned)
    for target in {one.target for one in planned}:
        mine = [one for one in planned if one.target == target]
        assert all(earlier.ends_s <= later.at_s for earlier, later in pairwise(mine))
    assert all(one.target in FAULTS[one.name].targets for one in planned)


def test_other_seeds_bring_other_faults_and_ten_of_them_bring_all() -> None:
    plans = [schedule(seed, 120, NAMES) for seed in range(1, 11)]
    assert len({tuple(plan) for plan in plans}) == 10
    assert {one.name for plan in plans for one in plan} == set(NAMES)
    # Different targets are broken at the same time.
    assert any(a.at_s < b.at_s < a.ends_s for plan in plans for a, b in pairwise(plan))


def test_a_broker_that_forgets_everything_is_left_alone() -> None:
    assert not OF_BROKER & set(chosen_faults((), "embedded"))
    assert set(chosen_faults((), "apache")) == set(FAULTS)
    with pytest.raises(LocalStackError, match="use --broker apache"):
        chosen_faults(("broker-killed",), "embedded")
    with pytest.raises(LocalStackError, match="choose from worker-killed"):
        chosen_faults(("earthquake",), "apache")
