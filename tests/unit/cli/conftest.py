"""Parts for the verbs."""

from __future__ import annotations

import pytest

from tests.unit.cli.fakes import FakeParts


@pytest.fixture
def parts() -> FakeParts:
    return FakeParts()
