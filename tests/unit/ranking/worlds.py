"""Small shops for ranking tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.candidates import NeighbourTable
from streamrec.catalogue import ItemTable
from streamrec.config import ProfileSettings, RankingSettings
from streamrec.events import Campaign, CatalogItem, Event, ItemNeighbours, Neighbour, Stock, Targets
from streamrec.events.topics import CATALOG, STOCK
from streamrec.index import ExactIndex
from streamrec.profiles import Profile, apply
from streamrec.ranking import Ranker, Ranking

T0 = 1_700_000_000_000
NOW = T0 + 1_000_000
DAY = 86_400_000


def direction(*numbers: float) -> NDArray[np.float32]:
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


@dataclass
class World:
    """A shop that is written to by id; the ranker reads it."""

    settings: RankingSettings = field(default_factory=RankingSettings)
    dim: int = 4
    encode: Callable[[Sequence[str]], NDArray[Any]] | None = None

    def __post_init__(self) -> None:
        self.items = ItemTable()
        self.index = ExactIndex(self.dim)
        self.neighbours = NeighbourTable(self.items)
        self.campaigns = CampaignBook()
        self.ranker = Ranker(self.items, self.index, self.neighbours, self.campaigns, self.settings, self.encode)
        self._order = 0

    def order(self) -> int:
        self._order += 1
        return self._order

    def item(self, item_id: str, vector: Sequence[float] | NDArray[np.float32] = (), *, ts: int = T0, **facts: Any) -> None:
        self.items.apply(CATALOG, item_id, CatalogItem(title=item_id, ts=ts, **facts), self.order())
        if len(vector):
            self.index.upsert([self.items.find(item_id)], direction(*vector)[None])

    def stock(self, item_id: str, quantity: int) -> None:
        self.items.apply(STOCK, item_id, Stock(quantity=quantity, ts=T0 + self.order()), 0)

    def met(
        self, item_id: str, popularity: float, neighbours: Mapping[str, float] | None = None, bought: float = 0.0, **told: Any
    ) -> None:
        pairs = tuple(Neighbour(item_id=n, together=w, bought=bought * w) for n, w in (neighbours or {}).items())
        self.neighbours.update(item_id, ItemNeighbours(as_of=T0, popularity=popularity, neighbours=pairs, **told))

    def campaign(self, name: str, action: str, *items: str, **fields: Any) -> None:
        targets = fields.pop("targets", Targets(items=items))
        window = {"starts_at": T0, "ends_at": T0 + 10 * DAY} | {k: fields.pop(k) for k in ("starts_at", "ends_at") if k in fields}
        self.campaigns.update(name, Campaign(action=action, targets=targets, ts=T0, **window, **fields), self.order())  # type: ignore[arg-type]

    def rank(self, *events: Event, now_ms: int = NOW, k: int | None = None) -> Ranking:
        return self.ranker.rank([visitor(*events)], now_ms, k=k)[0]

    def ids(self, *events: Event, now_ms: int = NOW, k: int | None = None) -> list[str]:
        return self.rank(*events, now_ms=now_ms, k=k).ids(self.items)

    def whys(self, *events: Event, now_ms: int = NOW) -> dict[str, str]:
        ranking = self.rank(*events, now_ms=now_ms)
        return dict(zip(ranking.ids(self.items), ranking.why(self.items, self.campaigns), strict=True))


def visitor(*events: Event) -> Profile:
    profile = Profile()
    for event in events:
        apply(profile, event, ProfileSettings())
    return profile
