"""The bound of the end: it cuts off who does not end, once, and says what was held."""

from __future__ import annotations

import threading

from structlog.testing import capture_logs

from workers.shutdown import CUT_OFF, Bound


def test_who_does_not_end_is_cut_off_and_what_was_held_is_told() -> None:
    ended: list[int] = []
    over = threading.Event()

    def end(status: int) -> None:
        ended.append(status)
        over.set()

    with capture_logs() as lines:
        bound = Bound(0.01, lambda: ["recommender: 2 batches"], end)
        bound.begin()
        bound.begin()
        assert over.wait(30)
    assert ended == [CUT_OFF]
    assert [(line["event"], line["held"], line["log_level"]) for line in lines] == [
        ("cut off", ["recommender: 2 batches"], "error")
    ]


def test_before_it_begins_no_time_runs() -> None:
    ended: list[int] = []
    Bound(0.0, list, ended.append)
    assert ended == []
