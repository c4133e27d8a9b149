"""Whether a worker lives and whether it is ready; if not, what is wrong and what to do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamrec.troubles import troubles
from workers.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streamrec.config import WebSettings
    from workers.parts import Role
    from workers.transport.pipeline import Pipeline
    from workers.watch import Dependency

#: A reader that has not polled, or a handler that has worked on one batch, for so long hangs. A try that waits for Redis or Kafka
#: gives up sooner.
STALLED_S: Final = 60.0
_RESTART: Final = "restart the worker: what was not committed is read again; its log says what it did last"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    what: str
    do: str


class Health:
    """Looks at the parts of a worker when it is asked; it remembers nothing, so that what is well again is green again."""

    def __init__(
        self,
        roles: Sequence[Role],
        dependencies: Sequence[Dependency],
        web: WebSettings,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._roles = roles
        self._dependencies = dependencies
        self._web = web
        self._stopping = stopping

    def live(self) -> list[Problem]:
        """Return what no longer moves and will not move by itself: reason to restart the worker. Redis or Kafka away is none."""
        now_s = time.monotonic()
        problems = [Problem(what, _RESTART) for pipeline in self._pipelines() for what in _standstill(pipeline, now_s)]
        sweepers = [one for role in self._roles for one in role.others if isinstance(one, Sweeper)]
        problems += [
            Problem(f"a sweep has worked for {now_s - one.busy_since:.0f} s", _RESTART)
            for one in sweepers
            if one.busy_since is not None and now_s - one.busy_since > STALLED_S
        ]
        return problems

    def ready(self) -> list[Problem]:
        """Return why this worker does not keep lists fresh now; what is not live is not ready."""
        if self._stopping():
            return [Problem("the worker is stopping", "nothing: it finishes what it holds and ends")]
        return [*self.live(), *self._absences(), *self._beginnings(), *self._lags()]

    def degraded(self) -> list[Problem]:
        """Return what works in a worse way than it should: lists are fresh, later than they could be. Such a worker is ready."""
        return [Problem(f"degraded: {what}", "see that the GPU works, then restart the worker") for what in troubles()]

    def _pipelines(self) -> list[Pipeline]:
        return [pipeline for role in self._roles for pipeline in role.pipelines]

    def _absences(self) -> Iterator[Problem]:
        for one in self._dependencies:
            if one.answered_at is None:
                yield Problem(f"{one.name} has not answered yet", one.trouble or "wait a moment")
            elif one.silence_s > self._web.max_silence_s:
                yield Problem(f"{one.name} has not answered for {one.silence_s:.0f} s", one.trouble or "see that it runs")

    def _beginnings(self) -> Iterator[Problem]:
        for role in self._roles:
            for pipeline in role.pipelines:
                if not pipeline.reader.ready.is_set():
                    yield Problem(
                        f"{role.name}: {pipeline.runner.name} has not joined its group or not caught up yet",
                        "wait; if it stays, see its log and `streamrec doctor`",
                    )

    def _lags(self) -> Iterator[Problem]:
        now_s = time.monotonic()
        for pipeline in self._pipelines():
            ages = pipeline.reader.backlog.ages_s(now_s)
            place, age_s = max(ages.items(), key=lambda item: item[1], default=(("", 0), 0.0))
            if age_s <= self._web.max_lag_s:
                continue
            waits_for = pipeline.runner.waits_for
            yield Problem(
                f"{pipeline.runner.name} is behind: a record of {place[0]}[{place[1]}] has waited for {age_s:.0f} s,"
                f" {self._web.max_lag_s:g} are allowed (STREAMREC_WEB__MAX_LAG_S)",
                waits_for or "start more workers of this role, as many as there are partitions; see streamrec_work_seconds",
            )


def _standstill(pipeline: Pipeline, now_s: float) -> Iterator[str]:
    reader, runner = pipeline.reader, pipeline.runner
    if reader.ident is not None and (not reader.is_alive() or now_s - reader.polled_at > STALLED_S):
        yield f"{reader.name} does not poll"
    if runner.busy_since is not None and now_s - runner.busy_since > STALLED_S:
        yield f"{runner.name} has worked on one batch for {now_s - runner.busy_since:.0f} s"
    if pipeline.agent_ended:
        yield f"{runner.name}: its agent has ended"
