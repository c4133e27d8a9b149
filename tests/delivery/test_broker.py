"""The broker goes and comes back under load: members live on, every record has its effect, in order, and is committed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from streamrec.local.kafka import LocalKafka
from tests.delivery.echoes import Echoes, Load

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

SESSION_MS = 1500


def _restart(broker: LocalKafka) -> None:
    broker.restart()


def _die_beyond_the_session_timeout(broker: LocalKafka) -> None:
    broker.kill()
    time.sleep(SESSION_MS / 1000 * 2)  # the fault is its duration
    broker.start()


def _hang_beyond_the_session_timeout(broker: LocalKafka) -> None:
    broker.hang()
    time.sleep(SESSION_MS / 1000 * 2)  # the fault is its duration
    broker.wake()


@pytest.mark.parametrize("fault", [_restart, _die_beyond_the_session_timeout, _hang_beyond_the_session_timeout])
def test_a_broker_that_comes_back_finds_the_members_where_they_were(
    apache: LocalKafka, echoes: Callable[..., Echoes], fault: Callable[[LocalKafka], None]
) -> None:
    group = echoes(session_timeout_ms=SESSION_MS)
    members = [group.join(), group.join()]
    pids = [member.pid for member in members]
    with Load(group.kafka.bootstrap) as load:
        load.run_for(500)
        fault(apache)
        load.run_for(1000)
    group.check(load, timeout_s=90)
    assert [member.pid for member in members] == pids  # nobody had to be started again
