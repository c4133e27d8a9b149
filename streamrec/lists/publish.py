"""From what was ranked to what is published."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.catalogue.table import ItemTable
from streamrec.lists.packing import ListItem, RankedList, round_scores
from streamrec.ranking import Ranking, reason_text


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
