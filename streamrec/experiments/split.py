"""Which visitor is in which variant: a hash, so that nothing is stored and every process says the same."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from math import fsum
from typing import Final, Self

from streamrec.config import ExperimentSettings

#: What lists carry that are ranked for everybody alike: all of them without an experiment, and always those of no visitor.
EVERYBODY: Final = "default"
_POINTS: Final = 2**64


class Split:
    """Puts visitors into variants by BLAKE2b of salt and id: the same visitor is always in the same variant.

    Experiments of different salts split independently, as in Tang et al., Overlapping Experiment Infrastructure (KDD 2010). The
    hash is a point on a line that the variants share in their order by ``weights`` (any positive numbers): another weight moves
    the borders, and only the visitors between the old and the new ones change sides.
    """

    def __init__(self, salt: str, weights: Sequence[float]) -> None:
        total = fsum(weights)
        #: Of each variant, its part of all visitors; they add up to 1.
        self.shares = tuple(weight / total for weight in weights)
        self._salt = salt.encode() + b"\x00"  # no id holds this byte, so salts and ids cannot run into each other
        self._borders = [round(_POINTS * border) for border in accumulate(self.shares[:-1])]

    @classmethod
    def of(cls, experiment: ExperimentSettings) -> Self:
        """Return the split of the configured experiment."""
        return cls(experiment.salt or experiment.name, experiment.weights)

    def variant(self, user_id: str) -> int:
        """Return the number of the visitor's variant, 0 is the first.

        >>> [Split("tea", (1, 1, 2)).variant(name) for name in ("ann", "bob", "eve", "joe")]
        [0, 2, 1, 1]
        """
        point = int.from_bytes(blake2b(self._salt + user_id.encode(), digest_size=8).digest(), "big")
        return bisect_right(self._borders, point)
