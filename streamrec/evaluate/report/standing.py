"""Where a method stands among others, in words that the figures bear out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Standing:
    """One measure of one method among all."""

    measure: str
    value: float
    #: 1 for the best.
    place: int
    of: int
    #: The best of the others, None where there is none.
    rival: str | None
    rival_value: float
    #: 95 % interval of the rival's mean less ours, None where it was not measured.
    lead: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """Return whether the difference to the best other method is more than chance, as far as the interval can tell."""
        if self.lead is None:
            return ""
        low, high = self.lead
        return "ahead" if high < 0 else "behind" if low > 0 else "not told apart"


def standing(methods: Mapping[str, Mapping[str, Any]], name: str, measure: str) -> Standing:
    """Return where method ``name`` stands in ``measure``; equal values share the better place.

    >>> standing({"a": {"hr@20": 0.2}, "b": {"hr@20": 0.1}}, "b", "hr@20").place
    2
    """
    value = methods[name][measure]
    others = {other: figures[measure] for other, figures in methods.items() if other != name}
    rival = max(others, key=others.__getitem__) if others else None
    lead = methods[rival].get(f"lead_over_{name}", {}).get(measure) if rival else None
    place = 1 + sum(one > value for one in others.values())
    return Standing(measure, value, place, len(methods), rival, others[rival] if rival else 0.0, tuple(lead) if lead else None)
