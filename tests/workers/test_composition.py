"""Shares, roles and what the composition root refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest
from mode import Service

from streamrec.errors import ConfigError
from streamrec.events.topics import CARTS, CLICKS, TOPICS
from streamrec.roles import ROLES
from tests.workers.roles import FakePipeline, role
from workers.groups import GROUPS
from workers.parts import Role
from workers.ports import free_port
from workers.share import PartitionShare
from workers.transport.group import GroupReader
from workers.transport.partitioner import partition_of
from workers.transport.pipeline import Pipeline
from workers.wiring import check_roles

IDS = [f"id{n}" for n in range(200)]


@dataclass
class Owner:
    """A group's member that owns what a test says."""

    owned: frozenset[tuple[str, int]] = field(default_factory=frozenset)


def _share(*owned: tuple[str, int]) -> PartitionShare:
    return PartitionShare(cast("GroupReader", Owner(frozenset(owned))), 4)


def test_every_id_belongs_to_exactly_one_of_the_workers() -> None:
    shares = [_share((CLICKS, 0), (CLICKS, 1)), _share((CLICKS, 2)), _share((CLICKS, 3))]
    for one in IDS:
        assert sum(share.has_visitor(one) for share in shares) == 1
        assert [share.has_item(one) for share in shares] == [share.has_visitor(one) for share in shares]
    assert [share.leads() for share in shares] == [True, False, False]


def test_a_share_follows_the_partitions_of_the_clicks_and_a_rebalance_changes_it() -> None:
    owner = Owner(frozenset({(CARTS, 0)}))
    share = PartitionShare(cast("GroupReader", owner), 4)
    assert not share.leads()
    assert not any(map(share.has_visitor, IDS))
    owner.owned = frozenset({(CLICKS, 2)})
    assert [one for one in IDS if share.has_visitor(one)] == [one for one in IDS if partition_of(one.encode(), 4) == 2]


def test_a_role_is_ready_when_all_of_its_readers_are() -> None:
    first, second = FakePipeline(), FakePipeline()
    one = role("a", first, second)
    first.reader.ready.set()
    assert not one.ready
    second.reader.ready.set()
    assert one.ready


def test_pipelines_start_last_and_so_stop_first() -> None:
    timer, pipeline = Service(), Service()
    assert Role("a", [cast("Pipeline", pipeline)], [timer]).services == [timer, pipeline]
    assert Role("a", [], []).status() == {}


@pytest.mark.parametrize(("roles", "says"), [([], "none given"), (["recommender", "cook", "baker"], "baker, cook")])
def test_roles_that_do_not_exist_are_named_beside_those_that_do(roles: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        check_roles(roles)
    assert all(name in str(caught.value) for name in ROLES)


def test_all_roles_may_be_played_at_once() -> None:
    check_roles(list(ROLES))


def test_every_topic_that_a_group_reads_exists() -> None:
    assert {topic for topics in GROUPS.values() for topic in topics} <= TOPICS.keys()


def test_topics_of_visitors_have_equally_many_partitions() -> None:
    """The range assignor then gives all events of a visitor to one worker."""
    assert len({TOPICS[topic].partitions for topic in GROUPS["recommender"]}) == 1


def test_a_free_port_is_one_that_can_be_listened_on() -> None:
    assert 1024 <= free_port("127.0.0.1") <= 65535
