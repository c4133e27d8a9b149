"""The models of a recommender: what answers, what is to answer, and the encoders of both for queries."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from streamrec.embedding import LazyEncoder, choice_of, load_encoder, opened
from streamrec.errors import BrokerUnavailable, StreamrecError
from streamrec.recommender import Knowledge
from workers.transport.plan import newer, read_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamrec.config import Settings
    from streamrec.events import ItemVector, ModelChoice, ModelPlan
    from streamrec.recommender.knowledge import EncodeQueries, Rows
    from workers.parts import Parts

log = structlog.get_logger(__name__)

#: A broker that does not say what is planned is asked again.
ASK_AGAIN_S: Final = 1.0


class Models:
    """Follows the plan. Without one the encoder is the one of the settings.

    A model may answer before its encoder is open: then lists have their vectors all the same, and texts are not searched for.
    """

    def __init__(self, parts: Parts) -> None:
        self._kafka = parts.settings.kafka
        self._own = parts.settings.model
        self._now_ms = parts.clock.now_ms
        #: Why the encoder of the wanted model is not open; empty while it is.
        self.problem = ""
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recommender-plan")
        self._encoders: dict[str, LazyEncoder] = {}
        self._knowledge: Knowledge | None = None
        self._plan = read_plan(self._kafka, "recommender-plan")
        #: Models that were met and are not planned: leftovers, which nobody is asked about twice.
        self._strangers: set[str] = set()
        if self._plan is None:
            encoder = load_encoder(self._own)
            own = choice_of(self._own, encoder)
            self._encoders[own.digest] = opened(own, encoder, self._own)
            self._encoders[own.digest].load()
            self._first = own
        else:
            # The previous model answers until it is known at the topic's end that the wanted one covers what it has.
            self._first = self._plan.previous or self._plan.wanted
            self.open(self._plan)

    @property
    def version(self) -> int:
        """The version of the plan that is followed; 0: there is none."""
        return self._plan.version if self._plan else 0

    @property
    def dims(self) -> Mapping[str, int]:
        """Per digest, the dimension of each model that may answer here."""
        return {one.digest: one.dim for one in (self._plan.choices if self._plan else (self._first,))}

    def build(self, settings: Settings) -> Knowledge:
        """Return an empty state that waits for the vectors of the model that answers first."""
        return Knowledge.build(settings, self._first.dim, self._first.digest)

    def serve(self, knowledge: Knowledge) -> None:
        """Have this state follow the plan; nobody takes over in it before ``release``."""
        self._knowledge = knowledge
        knowledge.understand(self._queries())
        if self._plan is not None:
            knowledge.replica.held = True
            knowledge.follow(self._plan)

    def open(self, plan: ModelPlan) -> None:
        """Open the encoders that are sure to be needed; one that does not open is tried again at the next plan or start."""
        self.problem = ""
        keeps = plan.previous is not None and self._now_ms() < plan.keep_until
        for choice in plan.choices if keeps else (plan.wanted,):
            self._load(self._encoder(choice))

    def _load(self, encoder: LazyEncoder) -> None:
        try:
            encoder.load()
        except StreamrecError as error:
            self.problem = str(error)
            log.error("model not opened, no search by its texts", model=encoder.name, error=str(error))  # noqa: TRY400
        if self._knowledge is not None:
            self._knowledge.understand(self._queries())

    # -- on the core thread --------------------------------------------------------------------------------------------

    def follow(self, plan: ModelPlan) -> Rows:
        """Follow a plan unless a newer one is followed; return the rows of a model that took over at once."""
        assert self._knowledge is not None
        self._plan = newer(self._plan, plan)
        assert self._plan is not None
        choices = {one.digest: one for one in self._plan.choices}
        served = self._knowledge.index.model
        self._encoders = {name: one for name, one in self._encoders.items() if name in choices or name == served}
        for choice in choices.values():
            self._encoder(choice)
        self._strangers.clear()
        rows = self._knowledge.follow(self._plan)
        self._knowledge.understand(self._queries())
        return rows

    def meet(self, messages: Sequence[tuple[str, ItemVector | None]]) -> None:
        """Ask for the plan where a vector is of a model that nobody has told us of: its embedder knows more than we do.

        Were it refused instead, it would be missing until the next start. A broker that does not answer is asked again.
        """
        assert self._knowledge is not None
        unknown = self._knowledge.replica.strangers(messages) - self._strangers
        if not unknown:
            return
        plan = self._read()
        if plan is not None and plan.version > self.version:
            self.follow(plan)
        self._strangers |= unknown

    def release(self) -> Rows:
        """Let models take over from now on; return the rows of one that does."""
        assert self._knowledge is not None
        self._knowledge.replica.held = False
        rows = self._knowledge.settle()
        served = self._encoders.get(self._knowledge.index.model or "")
        if served is not None and not served.loaded:
            # The previous model's time is over, and the wanted one still lacks too much to do without it.
            self.thread.submit(self._load, served)
        return rows

    def _read(self) -> ModelPlan | None:
        while True:
            try:
                return read_plan(self._kafka, "recommender-plan")
            except BrokerUnavailable as error:
                log.warning("plan not read", error=str(error))
                time.sleep(ASK_AGAIN_S)

    def _encoder(self, choice: ModelChoice) -> LazyEncoder:
        return self._encoders.setdefault(choice.digest, LazyEncoder(choice, self._own))

    def _queries(self) -> dict[str, EncodeQueries]:
        """Return those that are open: a text that waited for another to open would hold up everything."""
        return {name: partial(one.encode, query=True) for name, one in list(self._encoders.items()) if one.loaded}
