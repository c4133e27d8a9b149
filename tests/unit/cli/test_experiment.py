"""`streamrec experiment`: who is in which variant, what Kafka says of them, and a rehearsal without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamrec.config import ExperimentSettings, ModelSettings, VariantSettings
from streamrec.events import encode
from streamrec.events.topics import CLICKS, IMPRESSIONS, ORDERS
from streamrec.experiments.split import Split
from tests.unit.cli.fakes import NOW_MS, FakeParts, run
from tests.unit.experiments.events import DAY, LABELS, SPLIT, T0, Told
from tests.unit.experiments.test_report import TOPIC_OF, shop

TEA = ExperimentSettings(name="tea", variants=(VariantSettings(name="control"), VariantSettings(name="hot")))
#: The moment at which the made-up shop of the report's tests is looked at.
LATER = str(T0 + DAY)


@pytest.fixture
def parts() -> FakeParts:
    found = FakeParts()
    assert NOW_MS == T0
    found.clock.advance(DAY)  # type: ignore[attr-defined]
    found.settings = found.settings.model_copy(update={"experiment": TEA, "model": ModelSettings(name="hashing")})
    return found


def _hold(parts: FakeParts, events: list[Told]) -> None:
    """Put events into Kafka."""
    records = parts.memory_broker.records
    records.update({topic: [] for topic in (IMPRESSIONS, CLICKS, ORDERS)})
    for user_id, event in events:
        topic = TOPIC_OF[type(event).__name__]
        records[topic].append((user_id.encode(), encode(event, topic)))
    parts.memory_broker.held = {(topic, 0): (0, len(held)) for topic, held in records.items()}


def test_assign_tells_the_variant_that_lists_carry(parts: FakeParts) -> None:
    names = [f"u{number}" for number in range(20)]
    expected = {name: LABELS[SPLIT.variant(name)] for name in names}
    assert json.loads(run(parts, "experiment", "assign", *names, "--json").stdout) == expected
    assert run(parts, "experiment", "assign", *names).stdout.splitlines() == [f"{n} {label}" for n, label in expected.items()]
    assert len(set(expected.values())) == 2


@pytest.mark.parametrize("verb", [("assign", "ann"), ("report",), ("simulate",)], ids=" ".join)
def test_without_an_experiment_it_says_how_to_configure_one(parts: FakeParts, verb: tuple[str, ...]) -> None:
    parts.settings = parts.settings.model_copy(update={"experiment": ExperimentSettings()})
    result = run(parts, "experiment", *verb)
    assert result.exit_code == 2
    assert "set STREAMREC_EXPERIMENT__NAME and STREAMREC_EXPERIMENT__VARIANTS" in result.stderr


def test_the_report_is_made_of_what_kafka_holds(parts: FakeParts) -> None:
    _hold(parts, shop(800, (0.1, 0.2)))
    parts.memory_broker.records[CLICKS].append((b"v1", b"{"))
    parts.memory_broker.held[CLICKS, 0] = (0, len(parts.memory_broker.records[CLICKS]))
    result = run(parts, "experiment", "report", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert parts.memory_broker.asked_since_ms == T0 - parts.settings.max_future_ms
    assert (found["since_ms"], found["until_ms"], found["window_ms"]) == (T0, T0 + DAY, 1_800_000)
    control, hot = found["variants"]
    assert (control["name"], hot["name"]) == ("control", "hot")
    assert control["visitors"] + hot["visitors"] == 800
    assert hot["ctr"]["difference"]["p"] < 0.001
    assert found["sample_ratio"]["mismatch"] is False
    assert found["notes"] == ["1 records are no valid events and were passed over (`streamrec dlq list`)"]


def test_people_see_rates_intervals_and_the_verdict(parts: FakeParts) -> None:
    _hold(parts, shop(800, (0.1, 0.2)))
    text = run(parts, "experiment", "report", "--since", "-2d", "--until", LATER, "--window", "10m", "--placement", "home").stdout
    for part in ("window 10 min, placement home", "compared with control", "conversion", "as configured", "is made to keep 24 h"):
        assert part in text


def test_a_split_that_is_not_as_configured_ends_with_exit_code_1_and_advice(parts: FakeParts) -> None:
    _hold(parts, shop(1500, (0.1, 0.1), lost=0.3))
    result = run(parts, "experiment", "report")
    assert result.exit_code == 1
    assert "MISMATCH" in result.stdout
    assert "find out why" in result.stdout
    assert run(parts, "experiment", "report", "--json").exit_code == 1


def test_a_time_that_ends_before_it_begins_is_refused(parts: FakeParts) -> None:
    result = run(parts, "experiment", "report", "--since", "now", "--until", "-1h")
    assert result.exit_code == 2
    assert "exchange them" in result.stderr


def test_kafka_away_is_one_line(parts: FakeParts) -> None:
    parts.memory_broker.away = True
    result = run(parts, "experiment", "report")
    assert result.exit_code == 2
    assert result.stderr.startswith("streamrec: Kafka at memory")


def _stream(folder: Path, visitors: int) -> Path:
    """Write a shop in which the second click follows from the first: each item leads to its neighbour."""
    items = [{"item_id": f"i{n}", "title": f"thing {n}", "category": f"c{n % 6}", "ts": T0 - DAY} for n in range(30)]
    events: list[dict[str, Any]] = []
    for number in range(visitors):
        for step in range(3):
            ts = T0 + number * 60_000 + step * 5000
            value = {"item_id": f"i{(number * 7 + step) % 30}", "ts": ts}
            events.append({"topic": CLICKS, "key": f"w{number}", "value": value})
        lines = [{"item_id": f"i{(number * 7 + 2) % 30}"}]
        events.append({"topic": ORDERS, "key": f"w{number}", "value": {"lines": lines, "ts": T0 + number * 60_000 + 20_000}})
    (folder / "catalogue.jsonl").write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    (folder / "events.jsonl").write_text(
        "\n".join(map(json.dumps, sorted(events, key=lambda e: e["value"]["ts"]))), encoding="utf-8"
    )
    return folder


def _rehearsed(parts: FakeParts, folder: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run(parts, "experiment", "simulate", "--data", str(folder), "--places", "5", "--json", *options).stdout
    )
    return found


def test_a_rehearsal_finds_the_variant_that_was_made_worse(parts: FakeParts, tmp_path: Path) -> None:
    blind = VariantSettings(name="blind", ranking={"weight_together": 0.0, "weight_again": 0.0})
    variants = (VariantSettings(name="control"), blind)
    parts.settings = parts.settings.model_copy(update={"experiment": ExperimentSettings(name="tea", variants=variants)})
    control, other = _rehearsed(parts, _stream(tmp_path, 100))["variants"]
    assert other["ctr"]["difference"]["interval"][1] < 0
    assert other["ctr"]["difference"]["p"] < 0.001
    assert control["ordered"] == control["visitors"] > 30


def test_a_rehearsal_of_two_equal_variants_finds_nothing_and_loss_is_a_mismatch(parts: FakeParts, tmp_path: Path) -> None:
    folder = _stream(tmp_path, 100)
    found = _rehearsed(parts, folder)
    assert found["variants"][1]["ctr"]["difference"]["p"] > 0.01
    assert found["sample_ratio"]["mismatch"] is False
    lost = _rehearsed(parts, folder, "--lose", "hot=0.8")
    assert lost["sample_ratio"]["mismatch"] is True
    assert lost["variants"][0] == found["variants"][0] | {"expected": lost["variants"][0]["expected"]}


@pytest.mark.parametrize(
    ("loss", "words"), [("cold=0.5", "cold is no variant of tea"), ("hot=2", "a part from 0 to 1"), ("hot", "no loss")]
)
def test_a_loss_that_is_none_is_refused(parts: FakeParts, loss: str, words: str) -> None:
    result = run(parts, "experiment", "simulate", "--lose", loss)
    assert result.exit_code == 2
    assert words in result.stderr


def test_visitors_are_split_as_lists_are(parts: FakeParts) -> None:
    split = Split.of(parts.settings.experiment)
    assert [split.variant(f"x{n}") for n in range(50)] == [SPLIT.variant(f"x{n}") for n in range(50)]
