"""The failures that deploy/DELIVERY.md lists are shown by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DELIVERY = (ROOT / "deploy" / "DELIVERY.md").read_text(encoding="utf-8")


def test_every_failure_names_a_test_that_exists() -> None:
    rows = [line for line in DELIVERY.partition("## Failures")[2].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`((?:tests/(?:\w+/)+)?test_\w+\.py)`", row)
        assert named, row
        for name in named:
            path = ROOT / (name if "/" in name else f"tests/delivery/{name}")
            assert path.is_file(), name
