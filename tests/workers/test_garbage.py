"""A worker looks for garbage seldom, and still finds it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from workers.garbage import CONTAINERS, collect_seldom


class Node:
    """Something that stands in a cycle."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("_as_before")
def test_cycles_made_later_are_still_collected_and_the_first_look_comes_later() -> None:
    collect_seldom()
    assert gc.get_threshold()[0] == CONTAINERS
    assert gc.isenabled()
    node = Node()
    gone = weakref.ref(node)
    del node
    many = [[n] for n in range(2 * CONTAINERS)]
    assert len(many) == 2 * CONTAINERS
    assert gone() is None
