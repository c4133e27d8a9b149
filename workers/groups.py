"""Which consumer group reads which topics; ``doctor`` and the lag metrics look here."""

from __future__ import annotations

from typing import Final

from streamrec.events import topics as t

AVAILABILITY: Final = "availability"
LISTINGS: Final = "listings"
EMBEDDER: Final = "embedder"
RECOMMENDER: Final = "recommender"
AGGREGATOR: Final = "aggregator"

#: Readers whose topics must be in readers' eyes at once; the others share the broker's time more modestly.
URGENT: Final = frozenset({AVAILABILITY, RECOMMENDER})

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    AVAILABILITY: (t.STOCK, t.PRICE),
    # Campaigns are read by every recommender's replica; this group is the one that writes their dead letters.
    LISTINGS: (t.CATALOG, t.CAMPAIGNS),
    EMBEDDER: (t.CATALOG,),
    RECOMMENDER: t.EVENTS,
    AGGREGATOR: (t.PAIRS,),
}
