"""The session protocol of the literature: train on all but the last days, then predict the sessions of those, without learning.

As in Ludewig and Jannach, UMUAI 2018: a session belongs to the days in which it begins; what is asked for is the next item, and all
that remain; items that training never met are no targets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from streamrec.evaluate.replay import Plan
from streamrec.evaluate.streams import Step, Stream

_DAY_MS: Final = 86_400_000


def last_days(stream: Stream, days: float, *, sample: int = 0, seed: int = 7) -> tuple[Stream, Plan]:
    """Return the stream with training before testing, and the plan: ask about each item of a test session but its first.

    ``days`` are counted back from the last event; at most ``sample`` items (0: all) are asked about.
    """
    first_ms: dict[int, int] = {}
    for step in stream.steps:
        if step.session >= 0:
            first_ms.setdefault(step.session, step.at_ms)
    since_ms = max((step.at_ms for step in stream.steps if step.session >= 0), default=0) - int(days * _DAY_MS)
    train: list[Step] = []
    test: list[Step] = []
    for step in stream.steps:
        begun_ms = first_ms[step.session] if step.session >= 0 else step.at_ms
        (train if begun_ms <= since_ms else test).append(step)
    known = {item_id for step in train for item_id in step.items}
    begun: set[int] = set()
    asked = [False] * len(train)
    for step in test:
        items = [item_id for item_id in step.items if item_id in known]
        asked.append(bool(items) and step.session in begun)
        if step.items:
            begun.add(step.session)
    chosen = np.flatnonzero(asked)
    if sample and sample < len(chosen):
        chosen = np.random.default_rng(seed).choice(chosen, sample, replace=False)
    mask = np.zeros(len(asked), np.bool_)
    mask[chosen] = True
    return replace(stream, steps=[*train, *test]), Plan(mask, len(train))
