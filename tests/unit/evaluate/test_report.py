"""The report: a page that needs no other file, words that the figures bear out, and a run that goes on from it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streamrec.cli.app import root
from streamrec.errors import ConfigError
from streamrec.evaluate.report import Report
from streamrec.evaluate.report.page import render
from streamrec.evaluate.report.standing import standing
from tests.unit.evaluate.toys import T0


class Links(HTMLParser):
    """Collects what a browser would fetch, and the text of headings."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.plots = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.plots += tag == "svg"
        if tag in {"img", "script", "link", "iframe"}:
            self.fetched.append(str(given))
        link = given.get("href") or given.get("xlink:href") or ""
        if link and not link.startswith("#"):
            self.fetched.append(link)


@pytest.fixture
def shops(tmp_path: Path) -> Path:
    """Two streams; the name of an item of one is hostile to pages."""
    for stream, names in (("walks", ["a", "b", "c"]), ("runs", ["x", "<script>alert(1)</script>", "z"])):
        folder = tmp_path / "shops" / stream
        folder.mkdir(parents=True)
        events = [
            {"topic": "events.clicks", "key": f"v{visitor}", "value": {"item_id": name, "ts": T0 + visitor * 7_200_000 + step}}
            for visitor in range(12)
            for step, name in enumerate(names)
        ]
        items = [{"item_id": name, "title": name, "ts": T0} for name in names]
        (folder / "catalogue.jsonl").write_text("\n".join(map(json.dumps, items)))
        (folder / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    return tmp_path / "shops"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_MODEL__NAME", "hashing")
    monkeypatch.setenv("STREAMREC_INDEX__KIND", "exact")


def evaluated(data: Path, folder: Path, *more: str) -> Result:
    methods = ["--method", "streamrec", "--method", "popular"]
    return CliRunner().invoke(root, ["evaluate", "--data", str(data), "--report", str(folder), *methods, "--json", *more])


def test_the_page_stands_alone_and_tells_what_the_figures_tell(shops: Path, tmp_path: Path) -> None:
    result = evaluated(shops, tmp_path / "report", "--ablation", "--stream", "walks")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    text = (tmp_path / "report" / "index.html").read_text()
    links = Links()
    links.feed(text)
    assert links.fetched == []
    # Two protocols: hit rate, reciprocal rank and cost, and two of ablations.
    assert links.plots == 2 * (3 + 2)
    best = max(found["streams"]["walks"], key=lambda name: found["streams"]["walks"][name]["mrr@20"])
    place = 1 if best == "streamrec" else 2
    assert f"streamrec is number {place} of 2 in MRR@20" in text
    assert "without content" in text
    assert "### streams: walks:new" in (tmp_path / "report" / "evaluate.md").read_text()
    assert json.loads((tmp_path / "report" / "evaluate.json").read_bytes()) == found


def test_a_run_goes_on_from_its_report_and_measures_again_what_is_asked_otherwise(
    shops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamrec.evaluate.report.render", lambda _: "")  # drawing takes seconds
    folder = tmp_path / "report"
    evaluated(shops, folder, "--stream", "walks")
    stored = json.loads((folder / "evaluate.json").read_bytes())
    stored["streams"]["walks"]["popular"]["hr@20"] = 0.125  # as nobody would measure it
    (folder / "evaluate.json").write_text(json.dumps(stored))
    both = json.loads(evaluated(shops, folder).stdout)["streams"]
    assert both["walks"]["popular"]["hr@20"] == 0.125
    assert both.keys() == {"walks", "walks:new", "runs", "runs:new"}
    again = json.loads(evaluated(shops, folder, "--seed", "8").stdout)["streams"]
    assert again["walks"]["popular"]["hr@20"] != 0.125


def test_a_folder_of_something_else_is_refused_before_anything_is_measured(shops: Path, tmp_path: Path) -> None:
    (tmp_path / "evaluate.json").write_text('{"streams": {}}')
    result = evaluated(shops, tmp_path)
    assert result.exit_code != 0
    assert "holds no figures of this verb" in str(result.exception) + result.output
    assert "ablation" in str(result.exception) + result.output


def test_text_from_data_cannot_become_part_of_the_page() -> None:
    data: dict[str, Any] = dict.fromkeys(("events", "interactions", "items", "sessions", "asked", "refit_days"), 1)
    data |= {"description": "<img src=x>", "encoder": None, "notes": ["<b>"], "how": {}}
    empty: dict[str, Any] = {kind: {} for kind in ("streams", "sessions", "ablation", "missing")}
    text = render(empty | {"data": {"toys": data}})
    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text
    assert "nobody: the items have none" in text


def test_what_fraud_changes_stands_on_the_page_and_in_the_tables(tmp_path: Path) -> None:
    data: dict[str, Any] = dict.fromkeys(("events", "interactions", "items", "sessions", "asked", "refit_days"), 1)
    data |= {"description": "", "encoder": None, "notes": [], "how": {}}
    changed = {"overlap": 0.625, "least": 0.5, "cold": 1.0, "pushed": [3, 14], "trend": [0, 7]}
    frauds = {"a <few>": {"undefended": changed, "defended": changed}}
    found = {"audience": 20, "events_before": 1234, "pushed_met": 2, "frauds": frauds, "calm": changed}
    empty: dict[str, Any] = {kind: {} for kind in ("streams", "sessions", "ablation", "missing")}
    Report(tmp_path).write(empty | {"data": {"toys": data}, "fraud": {"toys": found}})
    page = (tmp_path / "index.html").read_text()
    cells = "<td>a &lt;few&gt;</td><td>with</td><td>0.625</td><td>0.5</td><td>1</td><td>14</td><td>3</td><td>7</td><td>0</td>"
    assert cells in page
    assert "After 1,234 events" in page
    tables = (tmp_path / "evaluate.md").read_text()
    assert "### fraud: toys, lists of 20 others" in tables
    assert "| a <few> | without | 0.625 | 0.5 | 1 | 14 | 3 | 7 | 0 |" in tables


@pytest.mark.parametrize(
    ("lead", "verdict"), [([-0.3, -0.1], "ahead"), ([0.01, 0.2], "behind"), ([-0.1, 0.1], "not told apart"), (None, "")]
)
def test_a_verdict_follows_from_the_interval(lead: list[float] | None, verdict: str) -> None:
    rival: dict[str, Any] = {"hr@20": 0.2} | ({"lead_over_ours": {"hr@20": lead}} if lead else {})
    found = standing({"ours": {"hr@20": 0.3}, "rival": rival, "worse": {"hr@20": 0.1}}, "ours", "hr@20")
    assert (found.place, found.of, found.rival, found.verdict) == (1, 3, "rival", verdict)


def test_the_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert Report(tmp_path / "none").read() == {}
    (tmp_path / "evaluate.json").write_text("[]")
    with pytest.raises(ConfigError, match="write the report elsewhere"):
        Report(tmp_path).read()
