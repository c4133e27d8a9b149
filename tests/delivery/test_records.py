"""Records that a handler cannot bear, and records from a producer whose clock is not the worker's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from streamrec.events.topics import CLICKS
from tests.delivery.echo import POISON
from tests.delivery.echoes import Echoes, Load
from tests.integration.shop import await_until, now_ms
from workers.transport.dead_letters import DeadLetter, read_dead_letters

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

Group = Callable[..., Echoes]
MINUTE_MS = 60_000


def _letters(group: Echoes, load: Load) -> list[DeadLetter]:
    """Return the dead letters of this load's records."""
    return [one for one in read_dead_letters(group.kafka) if one.source_topic == CLICKS and _place(one) in load.acknowledged]


def _place(letter: DeadLetter) -> tuple[int, int]:
    return letter.source_partition, letter.source_offset


def _done(group: Echoes, load: Load, buried: int) -> Counter[str]:
    """Await the effects of all but the buried ones, each once, and their commit; return how often each key had one."""
    await_until(lambda: len(group.effects()) >= len(load.acknowledged) - buried, "the effects")
    await_until(lambda: group.lag() == 0, "everything committed")
    effects = group.effects()
    assert len({(one.partition, one.offset) for one in effects}) == len(effects) == len(load.acknowledged) - buried
    return Counter(one.key for one in effects)


def test_a_record_that_the_handler_cannot_bear_is_buried_once_and_all_others_are_done(echoes: Group) -> None:
    group = echoes()
    member = group.join()
    with Load(group.kafka.bootstrap) as load:
        load.run_for(300)
        load.send(POISON)
        load.run_for(300)
    keys = _done(group, load, buried=1)
    assert POISON not in keys
    [letter] = _letters(group, load)
    assert (letter.key, load.acknowledged[_place(letter)]) == (POISON.encode(), POISON)
    assert "ValueError: cannot bear it" in letter.reason
    assert member.running


def test_a_clock_within_the_tolerance_is_believed_and_one_beyond_it_is_kept_for_later(echoes: Group) -> None:
    """The worker's clock is two minutes behind: what is four minutes ahead of everybody is six minutes ahead of it."""
    group = echoes()
    group.join({"ECHO_CLOCK_MS": str(-2 * MINUTE_MS)})
    with Load(group.kafka.bootstrap) as load:
        load.run_for(100)
        for minutes in (-60, 0, 2, 4, 6):
            load.send(f"{minutes}-minutes", now_ms() + minutes * MINUTE_MS)
    keys = _done(group, load, buried=2)
    assert {"-60-minutes", "0-minutes", "2-minutes"} < keys.keys()
    letters = _letters(group, load)
    assert sorted((one.key or b"").decode() for one in letters) == ["4-minutes", "6-minutes"]
    assert all("in the future" in one.reason for one in letters)


def test_a_worker_whose_clock_is_far_behind_loses_nothing_either(echoes: Group) -> None:
    """All that it refuses lies in the dead letters with its bytes, for `streamrec dlq redrive`."""
    group = echoes()
    group.join({"ECHO_CLOCK_MS": str(-10 * MINUTE_MS)})
    with Load(group.kafka.bootstrap) as load:
        load.run_for(100)
    await_until(lambda: group.lag() == 0, "everything committed")
    assert group.effects() == []
    assert {_place(one): (one.key or b"").decode() for one in _letters(group, load)} == load.acknowledged
