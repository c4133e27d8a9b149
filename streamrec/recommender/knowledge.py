"""What a recommender knows of the shop: items, vectors, neighbours, campaigns, and the ranker that reads them."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.candidates import NeighbourTable
from streamrec.catalogue.store import Fact
from streamrec.catalogue.table import Change, ItemTable
from streamrec.config import Settings
from streamrec.errors import InvalidRequest
from streamrec.events import Campaign, ItemNeighbours, ItemVector, ModelPlan
from streamrec.experiments.split import EVERYBODY
from streamrec.index import Generations, VectorIndex, VectorReplica, build_index
from streamrec.lists.keys import HOME
from streamrec.lists.layout import LaidOut, lay_out
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.packing import RankedList
from streamrec.lists.publish import published
from streamrec.profiles import Profile
from streamrec.ranking import Explanation, Ranker, Ranking, Reason
from streamrec.ranking.scene import NEW_FOR_HALF_LIVES
from streamrec.recommender.questions import Question
from streamrec.recommender.variants import Variants

Rows = NDArray[np.int32]
EncodeQueries = Callable[[Sequence[str]], NDArray[Any]]
#: A reduction that changes by less moves no item noticeably.
_NOTICEABLE: Final = 0.05
#: Moments of campaigns that are remembered.
_MAX_MOMENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Changes:
    """What a batch of facts changed; all int32 rows of the item table."""

    #: May not be shown any more.
    gone: Rows
    #: May be shown again.
    back: Rows
    #: Reduced by a noticeable share more or less than when they were last here.
    repriced: Rows = field(default_factory=lambda: np.empty(0, np.int32))

    def __bool__(self) -> bool:
        return bool(len(self.gone) or len(self.back) or len(self.repriced))


class Knowledge:
    """The state that every recommender keeps whole, from compacted topics; repeated messages change nothing."""

    def __init__(
        self,
        settings: Settings,
        index: VectorIndex,
        model_digest: str,
        encode_queries: EncodeQueries | None = None,
    ) -> None:
        #: Per model, what turns queries into its vectors.
        self._encoders: dict[str, EncodeQueries] = {model_digest: encode_queries} if encode_queries else {}
        self.items = ItemTable(settings.index.max_items)
        self.index = Generations(index, lambda dim: build_index(settings.index, dim), model_digest)
        self.replica = VectorReplica(
            self.items.row,
            self.index,
            model_digest,
            gone=lambda: self.items.removed,
            max_missing=settings.index.max_missing,
        )
        self.neighbours = NeighbourTable(
            self.items,
            popularity_half_life_s=settings.ranking.trending_half_life_s,
            together_half_life_s=settings.ranking.together_half_life_s,
            max_items=settings.index.max_items,
        )
        self.campaigns = CampaignBook()
        self.ranker = Ranker(
            self.items,
            self.index,
            self.neighbours,
            self.campaigns,
            settings.ranking,
            self._encode,
            profiles=settings.profiles,
            # Never a query of one model against vectors of another.
            can_encode=lambda: self.understands_text,
            model=lambda: self.index.model,
        )
        #: Who is ranked by which settings; ``ranker`` makes the lists that belong to no visitor.
        self.variants = Variants(self.ranker, settings.experiment)
        #: What ranks lists that belong to no visitor, and those of each variant.
        self._ranked_by = (settings, *(settings.model_copy(update={"ranking": r.settings}) for r in self.variants.rankers))
        self._digest_of = model_digest
        self._digests = [config_digest(one, model_digest) for one in self._ranked_by]
        self._weighs_prices = any(one.ranking.weight_discount > 0 for one in self._ranked_by)
        #: The reduction of each row when ``Changes`` last told of it.
        self._reduction_told = np.empty(0, np.float32)
        nothing = np.empty(0, np.bool_)
        #: What the mask of hidden rows was made for and from, and the mask.
        self._hidden_for: tuple[tuple[int, int], NDArray[np.bool_], NDArray[np.bool_]] = ((-1, -1), nothing, nothing)
        #: When campaigns were announced, begin and end, ascending; of too many the last.
        self._moments: list[int] = []
        #: Items that a list is to have, and those that it has with its reserve: so many may be sold out before it is short.
        self.list_size = settings.ranking.list_size
        #: Where each visitor has a list of its own besides home.
        self.placements = tuple(dict.fromkeys(name for name in settings.lists.placements if name != HOME))
        #: What crowds and single visitors may do to the lists of others.
        self.abuse = settings.abuse
        self._reserve = settings.lists.reserve
        self.ranked_size = self.list_size + self._reserve

    @classmethod
    def build(
        cls,
        settings: Settings,
        dim: int,
        model_digest: str,
        encode_queries: EncodeQueries | None = None,
    ) -> Self:
        """Return an empty state with the index that the settings name."""
        return cls(settings, build_index(settings.index, dim), model_digest, encode_queries)

    @property
    def digest(self) -> str:
        """A short name of what ranks the lists of no visitor now, the model that is served included; see ``config_digest``."""
        return self._digests_now()[0]

    def _digests_now(self) -> list[str]:
        model = self.index.model or ""
        if model != self._digest_of:
            self._digest_of, self._digests = model, [config_digest(one, model) for one in self._ranked_by]
        return self._digests

    def stamp(self, user_id: str) -> tuple[str, str]:
        """Return the variant and the digest that a list of this visitor carries which is ranked now."""
        variant = self.variants.of(user_id)
        return self.variants.labels[variant], self._digests_now()[1 + variant]

    @property
    def understands_text(self) -> bool:
        """Whether this worker has the encoder of the vectors served, so that a query's vector may be compared with them."""
        return self.index.model in self._encoders

    def _encode(self, queries: Sequence[str]) -> NDArray[Any]:
        """Encode queries by the model that is served, whichever it is now."""
        return self._encoders[self.index.model or ""](queries)

    def follow(self, plan: ModelPlan) -> Rows:
        """Let the plan's wanted model take over when it covers what is served; return the rows of a model that did at once."""
        slots = {choice.digest: plan.slot(choice.digest) for choice in plan.choices}
        rows = self.replica.follow(plan.wanted.digest, plan.wanted.dim, slots)
        return self._covered(rows)

    def settle(self) -> Rows:
        """Look whether it is time for the other model, as after each batch of vectors; return its rows if it took over."""
        return self._covered(self.replica.settle())

    def understand(self, encoders: Mapping[str, EncodeQueries]) -> None:
        """Have the encoders, by the digest of their models, for queries."""
        self._encoders = dict(encoders)

    def _covered(self, rows: Rows | None) -> Rows:
        if rows is None:
            return np.empty(0, np.int32)
        self.index.block(rows[~self.items.available[rows]])
        return rows

    def take_facts(self, facts: Sequence[Fact]) -> Changes:
        """Apply catalogue, price and stock facts; what may not be shown leaves the index at once."""
        flags = [(f.item_id, self.items.apply(f.topic, f.item_id, f.payload, f.order)) for f in facts]
        touched = {item_id for item_id, change in flags if change & (Change.BECAME_AVAILABLE | Change.BECAME_UNAVAILABLE)}
        rows = np.sort(self.items.find_all(tuple(touched)))
        available = self.items.available[rows]
        gone, back = rows[~available], rows[available]
        self.index.block(gone)
        self.index.unblock(back)
        priced = [item_id for item_id, change in flags if change & Change.PRICE] if self._weighs_prices else []
        return Changes(gone, back, self._repriced(priced))

    def _repriced(self, item_ids: Sequence[str]) -> Rows:
        rows: Rows = np.unique(self.items.find_all(tuple(item_ids)))
        told, now = self._reduction_told, self.items.reduction
        if len(rows) and int(rows[-1]) >= len(told):
            told = np.zeros(2 * len(now), np.float32)
            told[: len(self._reduction_told)] = self._reduction_told
            self._reduction_told = told
        moved: Rows = rows[np.abs(now[rows] - told[rows]) >= _NOTICEABLE]
        told[moved] = now[moved]
        return moved

    def take_vectors(self, messages: Sequence[tuple[str, ItemVector | None]]) -> Rows:
        """Apply vectors and return the rows that have a new one; the vector of an item that may not be shown waits, blocked.

        When another model takes over, from this call on, these are all rows that have a vector.
        """
        change = self.replica.apply(messages)
        touched = np.concatenate([change.changed, change.waiting])
        self.index.block(touched[~self.items.available[touched]])
        return change.changed

    def take_neighbours(self, messages: Sequence[tuple[str, ItemNeighbours | None]]) -> None:
        """Apply popularity and neighbours."""
        for item_id, record in messages:
            self.neighbours.update(item_id, record)

    def take_campaigns(self, messages: Sequence[tuple[str, Campaign | None, int]]) -> bool:
        """Apply (campaign id, campaign or None, order); True when anything changed."""
        for _, campaign, _ in messages:
            if campaign is not None:
                for moment in (campaign.ts, campaign.starts_at, campaign.ends_at):
                    insort(self._moments, moment)
        del self._moments[:-_MAX_MOMENTS]
        return any([self.campaigns.update(*message) for message in messages])  # noqa: C419 - every message is to be applied

    def campaigns_stand(self, ranking: Ranking, made_at: int, now_ms: int) -> bool:
        """Tell whether the campaigns of now are those that a list of ``made_at`` was ranked under, as far as can be told.

        None was announced, began or ended since, and each that the list names is running.
        """
        past = bisect_right(self._moments, now_ms)
        if past and self._moments[past - 1] > made_at:
            return False
        named = set(ranking.evidence[ranking.reasons == Reason.CAMPAIGN].tolist())
        return not named or named <= {self.campaigns.number(name) for name in self.campaigns.active(now_ms)}

    def rank(
        self, profiles: Sequence[Profile], now_ms: int, absent: Sequence[Rows] = (), *, users: Sequence[str] = ()
    ) -> list[Ranking]:
        """Return what is ranked for each visitor, the list with its reserve; ``absent`` as ``absent_from`` returns it.

        ``users``, whose profiles these are, must be told while an experiment splits visitors.
        """
        return self.variants.rank(users, profiles, now_ms, self.ranked_size, absent)

    def explain(self, user_id: str, profile: Profile, item_id: str, now_ms: int, placement: str = HOME) -> Explanation:
        """Tell why an item is in the visitor's list for a placement, or everything that keeps it out."""
        told = self.variants.ranker(user_id).explain(profile, item_id, now_ms, placement=placement)
        return msgspec.structs.replace(told, variant=self.stamp(user_id)[0])

    def rank_placement(self, placement: str, visitors: Mapping[str, Profile], now_ms: int) -> list[tuple[RankedList, Rows]]:
        """Return each visitor's list for a placement other than home, with its reserve, less what may not be shown now.

        Beside each the rows of all its candidates.
        """
        hidden = self.hidden(now_ms)
        users = list(visitors)
        rankings = self.variants.rank(users, list(visitors.values()), now_ms, self.ranked_size, placement=placement)
        stamps = map(self.stamp, users)
        return [
            (self.publish(ranking, now_ms, hidden, stamp=stamp), ranking.considered)
            for ranking, stamp in zip(rankings, stamps, strict=True)
        ]

    def explored(self, item_ids: Sequence[str], now_ms: int) -> list[str]:
        """Return which of the items are new and were not shown often enough yet: their impressions are counted."""
        ranked_by = [ranker.settings for ranker in self.variants.rankers]
        budget = max(settings.explore_impressions for settings in ranked_by)
        if not budget:
            return []
        ids = tuple(dict.fromkeys(item_ids))
        rows = self.items.find_all(ids)
        since = now_ms - int(NEW_FOR_HALF_LIVES * max(settings.new_half_life_s for settings in ranked_by) * 1000)
        new = (rows >= 0) & (self.items.first_seen_ms[rows] >= since) if len(self.items) else np.zeros(len(ids), np.bool_)
        spent = self.neighbours.log_shown()[rows] >= np.log2(budget) if new.any() else ~new
        return [item_id for item_id, wanted in zip(ids, (new & ~spent).tolist(), strict=True) if wanted]

    def absent_from(self, matrix: ListMatrix, user_ids: Sequence[str], now_ms: int) -> list[Rows]:
        """Return what each visitor's list holds and nobody may see for now: it keeps a place, so that a restock finds it there.

        The best of it, at most as many as the reserve has places.
        """
        away = matrix.holding(user_ids, self.hidden(now_ms), self._reserve)
        return [rows[self.items.listed[rows]] for rows in away]

    def search(self, question: Question, now_ms: int) -> RankedList:
        """Return what is nearest to the question's query and passes its filter, as a list that storefronts read.

        Raises InvalidRequest without a query, ModelError while texts cannot be compared with the vectors that are served.
        """
        if not question.query.strip():
            raise InvalidRequest("there is no query; say what to search for with q=…")
        ranking = self.ranker.search(question.query, now_ms, question.n, question.wanted)
        return self.publish(ranking, now_ms, self.hidden(now_ms), size=question.n)

    def similar(self, item_id: str, question: Question, now_ms: int) -> RankedList:
        """Return the item's alternatives that pass the question's filter.

        Raises InvalidRequest for an item that nobody knows, or where there is a query beside it.
        """
        if question.query:
            raise InvalidRequest("q has no meaning here; search for words at /search?q=…")
        if item_id not in self.items:
            raise InvalidRequest("nobody knows this item; publish it to items.catalog first, or correct the id")
        [ranking] = self.ranker.similar([item_id], now_ms, question.n, question.wanted)
        return self.publish(ranking, now_ms, self.hidden(now_ms), size=question.n)

    def hidden(self, now_ms: int) -> NDArray[np.bool_]:
        """Return a mask over rows of what nobody may see now: unavailable, or excluded for everybody; not to be written to."""
        excluded = self.campaigns.effects(now_ms, self.items).excluded
        state = (self.items.shown_version, id(excluded))
        if self._hidden_for[0] != state:
            # The mask is kept with what it was made from: an identity is given to another array only once its first owner is gone.
            self._hidden_for = (state, excluded, ~self.items.available | excluded)
        return self._hidden_for[2]

    def publish(
        self,
        ranking: Ranking,
        now_ms: int,
        hidden: NDArray[np.bool_] | None,
        *,
        size: int | None = None,
        stamp: tuple[str, str] | None = None,
    ) -> RankedList:
        """Return a list as storefronts read it: what was ranked, less what is ``hidden`` (see there), at most ``size`` items.

        ``stamp`` is that of the visitor whose list it is, None where it belongs to none.
        """
        size = len(ranking) if size is None else size
        variant, digest = stamp or (EVERYBODY, self.digest)
        return published(ranking, self.items, self.campaigns, hidden, size=size, made_at=now_ms, variant=variant, digest=digest)

    def lay_out(self, ranking: Ranking, now_ms: int, hidden: NDArray[np.bool_], user_id: str = "") -> LaidOut:
        """Return a visitor's list, in whose text each item that was ranked has its place, and what is ``hidden`` is left blank.

        ``user_id`` must be told while an experiment splits visitors.
        """
        return lay_out(self.publish(ranking, now_ms, None, stamp=self.stamp(user_id)), ~hidden[ranking.rows])


def config_digest(settings: Settings, model_digest: str) -> str:
    """Return a short name of everything besides data that decides a list: ranking and profile settings, and the model."""
    said = settings.ranking.model_dump_json() + settings.profiles.model_dump_json() + model_digest
    return blake2b(said.encode(), digest_size=6).hexdigest()
