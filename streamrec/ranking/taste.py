"""What one visitor is after and what must not be shown to this visitor, as rows of the item table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamrec.candidates import SESSION_MS
from streamrec.candidates.ordering import distinct
from streamrec.catalogue.filters import Filter
from streamrec.catalogue.table import ItemTable
from streamrec.config import ProfileSettings, RankingSettings
from streamrec.lists.keys import CART, HOME
from streamrec.profiles import Profile, weights

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Taste:
    """Distinct items that the visitor met, newest first, and the latest query with its filter."""

    #: (m,) int32.
    rows: NDArray[np.int32]
    #: (m,) float64, the greatest is 1: that of the strongest kind of what was done with the item, less for each later item.
    weights: NDArray[np.float64]
    query: str
    #: How much the query still counts, in [0, 1].
    query_strength: float
    segments: frozenset[str]
    #: None where the query has none.
    wanted: Filter | None = None
    #: Codes of the categories in which the visitor clicked in the session, ascending, (n,) int32.
    clicked: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))


def taste_of(
    profile: Profile, items: ItemTable, profiles: ProfileSettings, settings: RankingSettings, placement: str = HOME
) -> Taste:
    """Read a profile; on the cart page what lies in the cart is what the visitor is after, if anything does."""
    strongest: dict[str, float] = {}
    picked = profile.in_cart() if placement == CART else {}
    for interaction, weight in zip(profile.recent, weights(profile, profiles).tolist(), strict=True):
        if not picked or interaction.item_id in picked:
            strongest[interaction.item_id] = max(strongest.get(interaction.item_id, 0.0), weight)
    rows = items.find_all(tuple(strongest))
    amounts = np.fromiter(strongest.values(), np.float64, len(strongest))
    known = (rows >= 0) & (amounts > 0)
    rows, amounts = rows[known], amounts[known]
    amounts *= settings.seed_decay ** np.arange(len(amounts))
    query, strength = _latest_query(profile, settings)
    told = profile.filters.get(query)
    wanted = Filter.of_search(dict(told)) if told else None
    clicked = _clicked_categories(profile, items) if settings.threshold_drop else np.empty(0, np.int32)
    return Taste(rows, amounts / amounts.max(initial=1e-300), query, strength, frozenset(profile.segment()), wanted, clicked)


def _clicked_categories(profile: Profile, items: ItemTable) -> NDArray[np.int32]:
    """Return the categories of the items clicked in the running session: since the visitor was silent for ``SESSION_MS`` last.

    It runs until the first event after such a silence: like all decay it is relative, so that an idle hour changes no list.
    """
    clicked, later_ms = set[str](), profile.latest_ts
    for interaction in profile.recent:
        if later_ms - interaction.ts > SESSION_MS:
            break
        later_ms = interaction.ts
        if interaction.kind == "click":
            clicked.add(interaction.item_id)
    rows = items.find_all(tuple(clicked))
    categories = distinct(items.category[rows[rows >= 0]])
    return categories[categories > 0]


def _latest_query(profile: Profile, settings: RankingSettings) -> tuple[str, float]:
    """Return the newest query and how much it counts: less with the time to the visitor's last event, and per item met since."""
    if not profile.queries:
        return "", 0.0
    query, ts = profile.queries[0]
    since = len({interaction.item_id for interaction in profile.recent if interaction.ts > ts})
    faded = (ts - profile.latest_ts) / (settings.search_half_life_s * 1000)
    return query, float(np.exp2(faded) * settings.search_decay**since)


@dataclass(frozen=True, slots=True)
class Hidden:
    """Rows that a visitor must not see, by reason; sets of ints, rows unknown to the item table left out."""

    bought: frozenset[int]
    in_cart: frozenset[int]
    clicked: frozenset[int]

    @property
    def rows(self) -> NDArray[np.int32]:
        """All of them, (h,) int32, in no special order."""
        everything = self.bought | self.in_cart | self.clicked
        return np.fromiter(everything, np.int32, len(everything))


def hidden_from(profile: Profile, items: ItemTable, settings: RankingSettings, now_ms: int, placement: str = HOME) -> Hidden:
    """Return what the visitor bought within ``hide_bought_days``, has in the cart, and, if the placement hides it, opened."""
    since = now_ms - int(settings.hide_bought_days * _DAY_MS)
    bought = profile.bought_since(since + 1) if settings.hide_bought_days else set()
    in_cart = profile.in_cart() if settings.hide_in_cart else {}
    clicked = {i.item_id for i in profile.recent if i.kind == "click"} if placement in settings.hide_seen else set()
    return Hidden(_known(items, bought), _known(items, in_cart), _known(items, clicked))


def _known(items: ItemTable, item_ids: set[str] | dict[str, int]) -> frozenset[int]:
    return frozenset(row for item_id in item_ids if (row := items.find(item_id)) >= 0)
