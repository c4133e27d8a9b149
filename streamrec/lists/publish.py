"""From what was ranked to what is published, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.catalogue.table import ItemTable
from streamrec.lists.packing import ListItem, RankedList, round_scores
from streamrec.ranking import Ranking, Reason, empty_ranking, reason_text

_CODES: Final = {reason.name.lower(): int(reason) for reason in Reason}
#: As ints: comparing a code with a member of an enumeration takes most of the time.
_SEARCH: Final = int(Reason.SEARCH)
_CAMPAIGN: Final = int(Reason.CAMPAIGN)


def published(
    ranking: Ranking,
    items: ItemTable,
    campaigns: CampaignBook,
    hidden: NDArray[np.bool_] | None,
    *,
    size: int,
    made_at: int,
    variant: str = "",
    digest: str = "",
) -> RankedList:
    """Return what was ranked minus what nobody may see now, cut to ``size``, best first.

    ``hidden`` (n,) bool over the item table's rows: unavailable, or excluded for everybody; None: nothing is. ``made_at`` is in ms;
    ``digest`` names the configuration and model that ranked. A pure read: the same ranking is published again when one of its items
    sells out or comes back.
    """
    kept = (np.arange(len(ranking)) if hidden is None else (~hidden[ranking.rows]).nonzero()[0])[:size]
    rows = items.ids(ranking.rows[kept])
    scores = round_scores(ranking.scores[kept])
    codes, evidence = ranking.reasons[kept].tolist(), ranking.evidence[kept].tolist()
    whys = [reason_text(code, of, items, campaigns, ranking.query) for code, of in zip(codes, evidence, strict=True)]
    return RankedList(made_at, tuple(map(ListItem, rows, scores, whys)), variant, digest)


def recalled(lists: Sequence[RankedList], items: ItemTable, campaigns: CampaignBook) -> list[Ranking | None]:
    """Return the ranking that each list was published from, as far as the list tells: without what was hidden.

    Publishing it again gives the same list. None for a list that tells of an item or a reason which is not known here.
    """
    told = [item for ranked in lists for item in ranked.items]
    rows = items.find_all([item.id for item in told])
    known = _reasons([item.why for item in told], items, campaigns)
    reasons = np.array([known[item.why] for item in told], np.int32).reshape(-1, 2)
    scores = np.array([item.score for item in told], np.float32)
    ends = np.cumsum([len(ranked.items) for ranked in lists]).tolist()
    return [
        _recalled(ranked, rows[start:end], scores[start:end], reasons[start:end])
        for ranked, start, end in zip(lists, [0, *ends], ends, strict=False)
    ]


def _recalled(
    ranked: RankedList, rows: NDArray[np.int32], scores: NDArray[np.float32], reasons: NDArray[np.int32]
) -> Ranking | None:
    """``reasons`` (n, 2): codes and evidence."""
    if not len(rows):
        return empty_ranking()
    if rows.min() < 0 or reasons[:, 0].min() < 0 or len(set(rows.tolist())) < len(rows):
        return None
    searched = np.flatnonzero(reasons[:, 0] == _SEARCH)
    query = ranked.items[searched[0]].why.partition(":")[2] if len(searched) else ""
    return Ranking(rows, scores, reasons[:, 0].astype(np.uint8), reasons[:, 1], query)


def _reasons(whys: Sequence[str], items: ItemTable, campaigns: CampaignBook) -> dict[str, tuple[int, int]]:
    """Return the code of each reason, -1 for none of ours, and its evidence, -1 for none."""
    # Lists have far fewer reasons than items.
    distinct = list(dict.fromkeys(whys))
    parts = [why.partition(":") for why in distinct]
    codes = [_CODES.get(name, -1) for name, _, _ in parts]
    evidence = items.find_all([of for _, _, of in parts]).tolist()
    for n, (code, (_, _, of)) in enumerate(zip(codes, parts, strict=True)):
        if code == _SEARCH or not of:
            evidence[n] = -1
        elif code == _CAMPAIGN:
            evidence[n] = campaigns.number(of)
    return dict(zip(distinct, zip(codes, evidence, strict=True), strict=True))
