"""What the bench of a model change counts: answers of two models, and latencies of live changes."""

from __future__ import annotations

from typing import Any

from streamrec.bench.rollover.live import Change, latencies
from streamrec.bench.rollover.probe import Prober
from streamrec.bench.rollover.texts import BULK, bulk_title, live_title
from streamrec.embedding import HashingEncoder

OLD, NEW = HashingEncoder(), HashingEncoder(96, seed="another")
QUERY = bulk_title(3)


def _prober() -> Prober:
    return Prober("http://127.0.0.1:1", {"d-old": ("old", OLD), "d-new": ("new", NEW)}, 100, rate=1)


def _item(n: int, encoder: HashingEncoder) -> dict[str, Any]:
    score = encoder.encode([bulk_title(n)])[0] @ encoder.encode([QUERY])[0]
    return {"id": f"{BULK}{n}", "score": float(score), "why": "search"}


def test_an_answer_is_mixed_when_one_score_is_not_of_the_model_that_it_names() -> None:
    prober = _prober()
    for digest, encoder in (("d-old", OLD), ("d-new", NEW)):
        prober._judge(QUERY, {"digest": digest, "items": [_item(n, encoder) for n in (3, 5, 8, 13)]})
    prober._judge(QUERY, {"digest": "d-old", "items": [{"id": "live-1", "score": 0.1}]})
    assert (prober.mixed, prober.checked, dict(prober.answers)) == (0, 8, {"old": 2, "new": 1})
    prober._judge(QUERY, {"digest": "d-old", "items": [_item(3, OLD), _item(8, NEW)]})
    assert prober.mixed == 1
    prober._judge(QUERY, {"digest": "d-new", "items": [_item(5, OLD)]})
    prober._judge(QUERY, {"digest": "another", "items": []})
    report = prober.report()
    assert (report["mixed"], report["of_an_unknown_model"], len(report["examples"])) == (2, 1, 2)


def test_every_live_change_has_a_title_of_its_own() -> None:
    titles = {live_title(n, version) for n in range(200) for version in range(50)}
    assert len(titles) == 200 * 50
    assert len({bulk_title(n) for n in range(20_000)}) == 20_000


def test_latencies_are_of_what_arrived_and_the_rest_is_counted() -> None:
    changes = [Change("live-1", "t", 1, "bulk", 10.0, 10.01 + n / 1000, 10.02 + n / 1000) for n in range(100)]
    changes += [Change("live-1", "t", 1, "bulk", 10.0), Change("live-1", "t", 1, "idle", 10.0, superseded=True)]
    found = latencies(changes, "bulk")
    assert (found["changes"], found["not_found"], found["superseded"]) == (101, 1, 0)
    assert found["to_found_ms"] == {"p50": 70.0, "p95": 115.0, "p99": 119.0, "max": 119.0}
    assert latencies(changes, "idle") == {
        "changes": 1,
        "not_found": 1,
        "superseded": 1,
        "to_topic_ms": None,
        "to_found_ms": None,
        "search_ms": None,
    }
