"""Members of a group die, join, leave, freeze and dawdle under load: every record has its effect, in order, and is committed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from tests.delivery.echoes import Echoes, Load
from tests.integration.shop import await_until

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

Group = Callable[..., Echoes]


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_random_moments_lose_nothing(echoes: Group, seed: int) -> None:
    rng = Random(seed)
    group = echoes()
    living = [group.join(wait=False), group.join()]
    with Load(group.kafka.bootstrap) as load:
        for _ in range(5):
            load.run_for(rng.randrange(20, 3000))
            victim = living.pop(rng.randrange(2))
            victim.kill()
            living.append(group.join(wait=False))
        load.run_for(1000)
    group.check(load)


def test_a_kill_while_partitions_change_hands_loses_nothing(echoes: Group) -> None:
    group = echoes()
    living = [group.join(), group.join()]
    with Load(group.kafka.bootstrap) as load:
        for turn in range(3):
            load.run_for(500)
            known = len(group.rebalances())
            newcomer = group.join(wait=False)
            await_until(partial(_more_rebalances, group, known), "a rebalance")
            victim = [newcomer, living[0], living[1]][turn]  # who joins, who gives, who takes
            victim.kill()
            living = [one for one in [*living, newcomer] if one is not victim]
            while len(living) > 2:
                living.pop().stop()
    group.check(load)


def _more_rebalances(group: Echoes, known: int) -> bool:
    return len(group.rebalances()) > known


def test_members_that_join_and_leave_in_order_neither_lose_nor_repeat_a_record(echoes: Group) -> None:
    group = echoes()
    first = group.join()
    with Load(group.kafka.bootstrap) as load:
        load.run_for(500)
        second = group.join()
        load.run_for(500)
        third = group.join()
        load.run_for(500)
        assert first.stop() == 0
        load.run_for(500)
        assert third.stop() == 0
        load.run_for(500)
    group.check(load, once=True)
    assert second.running


def test_a_frozen_member_loses_its_partitions_and_does_no_harm_when_it_wakes(echoes: Group) -> None:
    group = echoes(session_timeout_ms=1000)
    zombie = group.join({"ECHO_DELAY_US": "200"})
    with Load(group.kafka.bootstrap) as load:
        load.run_for(300)
        zombie.send(signal.SIGSTOP)
        load.run_for(300)
        heir = group.join()
        await_until(lambda: _done_by(group, heir.pid) > 300, "the heir's effects")
        zombie.send(signal.SIGCONT)
        await_until(lambda: (zombie.pid, "lost") in group.rebalances(), "the zombie's knowledge")
        load.run_for(1000)
    group.check(load)
    assert zombie.running
    assert heir.running


def _done_by(group: Echoes, pid: int | None) -> int:
    return sum(effect.pid == pid for effect in group.effects())


def test_a_handler_slower_than_the_poll_interval_causes_no_rebalance_and_no_repeat(echoes: Group) -> None:
    group = echoes(extra={"max.poll.interval.ms": "2000", "session.timeout.ms": "1500"}, max_in_flight=1)
    member = group.join({"ECHO_STALL_S": "5"})
    with Load(group.kafka.bootstrap) as load:
        load.run_for(500)
        await_until(group.effects, "the end of the stall")
    group.check(load, once=True)
    assert group.rebalances() == [(member.pid, "assigned")]
