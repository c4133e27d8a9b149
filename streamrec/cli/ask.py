"""Asks a recommender that lives: its address stands in its heartbeat."""

from __future__ import annotations

import json
from typing import Any

from streamrec.cli.output import safe
from streamrec.cli.parts import Parts
from streamrec.errors import InvalidRequest, StoreUnavailable


def ask_recommender(parts: Parts, path: str, trouble: str) -> dict[str, Any]:
    """Return what the first recommender that can answers to a path; ``trouble`` says what nobody could do otherwise.

    Raises InvalidRequest where the question is wrong, StoreUnavailable when none answers.
    """
    from streamrec.cli.fleet import living_workers

    recommenders = [worker.url for worker in living_workers(parts.redis) if "recommender" in worker.roles and worker.ready]
    failures: list[str] = []
    for url in recommenders:
        answer = _answer(parts, url.rstrip("/") + path, failures)
        if answer is not None:
            return answer
    said = f"{len(failures)} of them answered with {failures[-1]}" if failures else "no recommender is alive and ready"
    raise StoreUnavailable(f"{trouble}: {said}; start one with `streamrec worker --roles recommender` and see `streamrec doctor`")


def _answer(parts: Parts, url: str, failures: list[str]) -> dict[str, Any] | None:
    try:
        status, body = parts.fetch(url)
        answer = json.loads(body)
    except (OSError, ValueError) as error:
        failures.append(str(error))
        return None
    if isinstance(answer, dict):
        if status == 200:
            return answer
        if status == 400:
            raise InvalidRequest(safe(str(answer.get("error")), 400))
    failures.append(f"status {status}: {safe(body, 200)}")
    return None
