"""What an audit finds, and the verdict that it comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

#: lost: something acknowledged has no effect. doubled: an effect twice, or one that nobody asked for. stale: something old stands.
Kind = Literal["lost", "doubled", "stale"]
#: Findings that a report carries in full; the counts are of all.
MAX_DETAILS: Final = 50


class Finding(NamedTuple):
    """One thing that is not as it must be, with its evidence."""

    kind: Kind
    #: What is wrong, in words.
    what: str
    #: Where to look: a Redis key, or ``topic/partition/offset``.
    key: str
    expected: Any
    found: Any


@dataclass(frozen=True)
class Verdict:
    """How an audit ended."""

    lost: int
    doubled: int
    stale: int
    #: The first findings of all, in full.
    details: Sequence[Finding] = ()
    #: How much of what was compared.
    checked: dict[str, int] = field(default_factory=dict)
    #: How long it took until everything was as it must be, or the patience was over.
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, doubled or stale."""
        return not (self.lost or self.doubled or self.stale)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can say of it."""
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "stale": self.stale,
            "details": [finding._asdict() for finding in self.details],
            "checked": self.checked,
            "audit_seconds": round(self.seconds, 1),
        }


def verdict(findings: Sequence[Finding], checked: dict[str, int], seconds: float) -> Verdict:
    """Return the verdict that the findings amount to."""
    counts = Counter(finding.kind for finding in findings)
    return Verdict(counts["lost"], counts["doubled"], counts["stale"], tuple(findings[:MAX_DETAILS]), checked, seconds)
