"""What ranking gives back: rows with scores and reasons, and the words for a reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.catalogue.table import ItemTable


class Reason(IntEnum):
    """Why an item stands in a list: the part of its score that is the largest, or the rule that gave it its place.

    The numbers are stored in list matrices, so they never change their meaning.
    """

    #: Near to an item that the visitor met; evidence is that item's row.
    CONTENT = 0
    #: Met by others together with an item that the visitor met; evidence is that item's row.
    TOGETHER = 1
    TRENDING = 2
    NEW = 3
    #: Near to the visitor's latest query.
    SEARCH = 4
    #: Pinned, or boosted by more than any part of the score; evidence is the campaign's number.
    CAMPAIGN = 5
    #: Nothing speaks for it but that the list would be short.
    FILLER = 6
    #: Cheaper than its list price.
    PRICE = 7
    #: The visitor met it last, and visitors meet it again.
    AGAIN = 8


#: Looked up for every item of every list that is published, where making a ``Reason`` of a code took most of the time.
_NAMES: Final = tuple(reason.name.lower() for reason in Reason)
_OF_ITEM: Final = frozenset({int(Reason.CONTENT), int(Reason.TOGETHER)})


@dataclass(frozen=True, slots=True)
class Ranking:
    """One list, best first; all arrays are (n,) with n at most the k that was asked for."""

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]
    #: Codes of ``Reason``.
    reasons: NDArray[np.uint8]
    #: int32; an item's row (content, together), a campaign's number (campaign), else -1.
    evidence: NDArray[np.int32]
    #: The query that SEARCH reasons speak of.
    query: str = ""
    #: Rows of all candidates of a visitor's list; of other lists nothing.
    considered: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    def __len__(self) -> int:
        return len(self.rows)

    def ids(self, items: ItemTable) -> list[str]:
        """Return the item ids, best first."""
        return items.ids(self.rows)

    def why(self, items: ItemTable, campaigns: CampaignBook) -> list[str]:
        """Return the text of each reason, best first."""
        pairs = zip(self.reasons.tolist(), self.evidence.tolist(), strict=True)
        return [reason_text(reason, evidence, items, campaigns, self.query) for reason, evidence in pairs]


def empty_ranking() -> Ranking:
    """Return a list of nothing."""
    return Ranking(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.uint8), np.empty(0, np.int32))


def reason_text(reason: int, evidence: int, items: ItemTable, campaigns: CampaignBook, query: str = "") -> str:
    """Return a reason as lists carry it: ``content:<item>``, ``together:<item>``, ``campaign:<id>``, ``search:<query>``,
    ``trending``, ``new``, ``price``, ``again`` or ``filler``."""  # noqa: D205, D209 - one law, one sentence
    name = _NAMES[reason]
    if reason in _OF_ITEM and evidence >= 0:
        return f"{name}:{items.id(evidence)}"
    if reason == Reason.CAMPAIGN and campaigns.name(evidence):
        return f"{name}:{campaigns.name(evidence)}"
    return f"{name}:{query}" if reason == Reason.SEARCH and query else name
