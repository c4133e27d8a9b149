"""From what was ranked to what is published, and back."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.catalogue.table import ItemTable
from streamrec.lists.packing import ListItem, RankedList, round_scores
from streamrec.ranking import Ranking, Reason, reason_text

_CODES: Final = {reason.name.lower(): int(reason) for reason in Reason}
#: As ints: comparing a code with a member of an enumeration takes most of the time.
_SEARCH: Final = int(Reason.SEARCH)
_CAMPAIGN: Final = int(Reason.CAMPAIGN)


def published(
    ranking: Ranking,
    items: ItemTable,
    campaigns: CampaignBook,
    hidden: NDArray[np.bool_],
    *,
    size: int,
    made_at: int,
    variant: str = "",
    digest: str = "",
) -> RankedList:
    """Return what was ranked minus what nobody may see now, cut to ``size``, best first.

    ``hidden`` (n,) bool over the item table's rows: unavailable, or excluded for everybody. ``made_at`` is in ms; ``digest`` names
    the configuration and model that ranked. A pure read: the same ranking is published again when one of its items sells out or
    comes back.
    """
    kept = (~hidden[ranking.rows]).nonzero()[0][:size]
    rows = items.ids(ranking.rows[kept])
    scores = round_scores(ranking.scores[kept])
    codes, evidence = ranking.reasons[kept].tolist(), ranking.evidence[kept].tolist()
    whys = [reason_text(code, of, items, campaigns, ranking.query) for code, of in zip(codes, evidence, strict=True)]
    return RankedList(made_at, tuple(map(ListItem, rows, scores, whys)), variant, digest)


def recalled(ranked: RankedList, items: ItemTable, campaigns: CampaignBook) -> Ranking | None:
    """Return the ranking that a list was published from, as far as the list tells: without what was hidden and without the reserve.

    Publishing it again gives the same list. None for a list that tells of an item or a reason which is not known here.
    """
    ids, whys = ranked.ids(), [item.why for item in ranked.items]
    # A list has far fewer reasons than items.
    told = {why: _reason(why, items, campaigns) for why in dict.fromkeys(whys)}
    rows, reasons = items.find_all(ids), [told[why][0] for why in whys]
    if min(reasons, default=0) < 0 or rows.min(initial=0) < 0 or len(set(ids)) < len(rows):
        return None
    query = next((why.partition(":")[2] for why, (reason, _) in told.items() if reason == _SEARCH), "")
    scores = np.array([item.score for item in ranked.items], np.float32)
    return Ranking(rows, scores, np.array(reasons, np.uint8), np.array([told[why][1] for why in whys], np.int32), query)


def _reason(why: str, items: ItemTable, campaigns: CampaignBook) -> tuple[int, int]:
    """Return the code of a reason, -1 for none of ours, and its evidence."""
    name, _, of = why.partition(":")
    reason = _CODES.get(name, -1)
    return reason, _evidence(reason, of, items, campaigns)


def _evidence(reason: int, of: str, items: ItemTable, campaigns: CampaignBook) -> int:
    if not of or reason == _SEARCH:
        return -1
    return campaigns.number(of) if reason == _CAMPAIGN else items.find(of)
