"""One Apache Kafka for the tests of the transport; each test has a group of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streamrec.local.kafka import LocalKafka
from tests.delivery.echoes import Echoes


@pytest.fixture(scope="session")
def apache() -> Iterator[LocalKafka]:
    """Run one broker for the session; whoever stops it starts it again."""
    with LocalKafka() as broker:
        yield broker


@pytest.fixture
def echoes(apache: LocalKafka, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Echoes]]:
    """Give a way to a group without members; its settings are arguments."""
    with ExitStack() as undo:
        yield lambda **settings: undo.enter_context(Echoes(apache.bootstrap, tmp_path, request.node.name[:80], **settings))
