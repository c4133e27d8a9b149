"""Short runs of chaos with a fixed set of seeds: whatever breaks meanwhile, nothing is lost, doubled or stale at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamrec.chaos.run import Options, run_chaos
from streamrec.chaos.schedule import schedule
from streamrec.chaos.world import plain

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

FAULTS = ("worker-killed", "worker-frozen", "killed-in-rebalance", "broker-killed", "redis-killed")
SECONDS = 14
#: 334: both recommenders' rebalances are cut short, Redis and the broker are killed, five workers too. 363: a recommender is frozen
#: past its session while the other one and Redis are killed, and goes on as if nothing had been.
SEEDS = (334, 363)


def test_the_seeds_bring_every_one_of_these_faults() -> None:
    assert {one.name for seed in SEEDS for one in schedule(seed, SECONDS, FAULTS)} == set(FAULTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_stale(seed: int, tmp_path: Path) -> None:
    # A session shorter than the shipped one, so that the killed are missed sooner.
    options = Options(
        seed=seed, minutes=SECONDS / 60, broker="apache", log_dir=tmp_path, faults=FAULTS, items=plain(), session_timeout_s=3
    )
    report = run_chaos(options)
    assert report.notes == []
    assert report.reads > 0
    assert report.ok, report.as_dict()
