"""Whose events a rebuild passes over."""

from __future__ import annotations

import redis

from streamrec.events import Click
from streamrec.lists import keys
from streamrec.lists.forgotten import ForgottenVisitors

NOW = 1_767_225_600_000
TOLERANCE = 300_000


def _click(user_id: str, ts: int) -> tuple[str, Click]:
    return user_id, Click(item_id="i", ts=ts)


def test_what_came_before_the_wish_is_passed_over_and_what_came_well_after_it_counts(redis_client: redis.Redis) -> None:
    forgotten = ForgottenVisitors(redis_client)
    forgotten.note("ann", NOW)
    before, soon, later, other = (
        _click("ann", NOW - 1),
        _click("ann", NOW + 1),
        _click("ann", NOW + TOLERANCE + 1),
        _click("bob", 1),
    )
    assert forgotten.without([before, soon, other, later], TOLERANCE) == [other, later]
    assert forgotten.without([], TOLERANCE) == []


def test_the_id_is_not_kept_and_the_note_goes_when_kafka_can_hold_nothing_older(redis_client: redis.Redis) -> None:
    forgotten = ForgottenVisitors(redis_client)
    forgotten.note("ann", NOW)
    assert b"ann" not in redis_client.zrange(keys.FORGOTTEN, 0, -1)[0]
    assert 0 < redis_client.ttl(keys.FORGOTTEN) <= keys.FORGOTTEN_TTL_S
    forgotten.note("bob", NOW + keys.FORGOTTEN_TTL_S * 1000 + 1)
    assert redis_client.zcard(keys.FORGOTTEN) == 1
