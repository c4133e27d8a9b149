"""What operators are given fits the code: metrics, endpoints and alerts in document, rules and dashboard exist, all of them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from streamrec.config import Settings, WebSettings
from streamrec.observing import PrometheusObserver
from streamrec.observing.counters import COUNTERS
from streamrec.roles import ROLES
from tests.workers.roles import FakePipeline, FakeReader, behind, role
from workers.app import App
from workers.gauges import WorkerGauges
from workers.health import Health
from workers.watch import Dependency
from workers.web import add_pages

REPOSITORY = Path(__file__).parents[3]
DEPLOY = REPOSITORY / "deploy"
OPERATIONS = (DEPLOY / "OPERATIONS.md").read_text(encoding="utf-8")
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
SCRAPE: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "streamrec.json").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
#: Labels that Prometheus adds, by prometheus.yml.
ADDED = {"job", "instance", "worker"}


def _registry() -> CollectorRegistry:
    """Return a worker's registry with one series of everything."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    for name in COUNTERS:
        observer.count(name, "x")
    observer.fresh("x", 1.0)
    observer.took("x", 1.0)
    observer.size("x", 1)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    roles = [role("a", FakePipeline(FakeReader(backlog=behind({("t", 0): 1}))), items=1)]
    answering = Dependency("kafka", lambda: None)
    registry.register(WorkerGauges(roles, [answering], Health(roles, [answering], WebSettings())))
    return registry


@cache
def _series() -> dict[str, set[str]]:
    """Every series of a worker, as PromQL names it, with its labels."""
    series = {sample.name: set(sample.labels) for family in _registry().collect() for sample in family.samples}
    return {name: labels for name, labels in series.items() if not name.endswith("_created")}


def _metric_names() -> set[str]:
    """Return every metric as the documents name it: a histogram once."""
    return {re.sub(r"(?<=_seconds|_records)_(bucket|sum|count)$", "", name) for name in _series()}


def test_every_metric_of_a_worker_is_in_the_table_and_the_table_names_no_other() -> None:
    table = OPERATIONS.split("## Metrics")[1].split("\n## ")[0]
    assert set(re.findall(r"`((?:streamrec|process|python)_\w+)`", table)) == _metric_names()


def test_the_table_says_the_labels_that_a_metric_has() -> None:
    for line in OPERATIONS.split("## Metrics")[1].splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| `streamrec"):
            told = {label for label in cells[3].split(":")[0].split(", ") if label}
            for name in re.findall(r"`(\w+)`", cells[1]):
                labels = _series().get(name, _series().get(f"{name}_count", set()))
                assert told == labels, name


def test_every_endpoint_in_the_table_is_a_page_and_every_page_is_in_the_table() -> None:
    pages: list[str] = []

    class Taking:
        def page(self, path: str) -> Any:
            pages.append(path)
            return lambda handler: handler

    add_pages(cast("App", Taking()), [], Health([], [], WebSettings()), lambda: b"")
    table = OPERATIONS.split("## Endpoints")[1].split("## Objectives")[0]
    assert re.findall(r"^\| `(/\S+)`", table, re.MULTILINE) == [re.sub(r"\{(\w+?)_id\}", lambda m: m[1].upper(), p) for p in pages]


def test_settings_in_the_document_exist() -> None:
    ours = {f"STREAMREC_{name.upper()}__{part.upper()}" for name, f in Settings.model_fields.items() for part in _fields(f)}
    assert set(re.findall(r"STREAMREC_\w+", OPERATIONS)) <= ours


def _fields(field: Any) -> dict[str, Any]:
    return dict(getattr(field.annotation, "model_fields", {}))


def test_everything_that_the_code_counts_is_declared() -> None:
    """A name that is not would be in /metrics only once it happened, and in no table."""
    counted = set()
    for path in [*(REPOSITORY / "streamrec").rglob("*.py"), *(REPOSITORY / "workers").rglob("*.py")]:
        if path.is_relative_to(REPOSITORY / "streamrec" / "demo"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "count":
                heard = ast.unparse(node.func.value).rpartition(".")[2].strip("_") == "observer"
                if heard and isinstance(node.args[0], ast.Constant):
                    counted.add(node.args[0].value)
    assert counted == COUNTERS.keys()


def _expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _selectors(node.lhs)
        yield from _selectors(node.rhs)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from _selectors(argument)
    elif isinstance(
        node, promql_parser.AggregateExpr | promql_parser.ParenExpr | promql_parser.UnaryExpr | promql_parser.SubqueryExpr
    ):
        yield from _selectors(node.expr)


@pytest.mark.parametrize(("where", "expression"), list(_expressions()))
def test_an_expression_parses_and_asks_for_series_and_labels_that_a_worker_has(where: str, expression: str) -> None:
    selectors = list(_selectors(promql_parser.parse(expression)))
    assert selectors
    for selector in selectors:
        asked = {matcher.name for matcher in selector.matchers.matchers} - ADDED
        assert selector.name in {*_series(), *RECORDED, "up"}, where
        assert asked <= _series().get(selector.name, set()), where


def test_an_alert_says_what_happened_and_the_document_what_to_do() -> None:
    alerts = [rule for rule in RULES if "alert" in rule]
    for alert in alerts:
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert alert["annotations"].keys() == {"summary", "description"}
    runbook = OPERATIONS.split("## Alerts")[1]
    assert re.findall(r"^\| (Streamrec\w+) ", runbook, re.MULTILINE) == [alert["alert"] for alert in alerts]


def test_the_rules_objectives_are_those_of_the_settings() -> None:
    expressions = {rule.get("alert"): rule["expr"] for rule in RULES}
    assert float(expressions["StreamrecLag"].split(">")[1]) == WebSettings().max_lag_s
    assert float(expressions["StreamrecDependencySilent"].split(">")[1]) == WebSettings().max_silence_s


def test_every_role_is_scraped_and_its_absence_is_an_alert() -> None:
    jobs = {job["job_name"]: job["dns_sd_configs"][0]["names"] for job in SCRAPE["scrape_configs"]}
    assert jobs == {name: [name] for name in ROLES}
    absent = next(rule["expr"] for rule in RULES if rule.get("alert") == "StreamrecRoleAbsent")
    assert set(re.findall(r'job="(\w+)"', absent)) == set(ROLES)
    for file in SCRAPE["rule_files"]:
        assert (DEPLOY / "prometheus" / file).is_file()


def test_panels_have_ids_of_their_own_do_not_overlap_and_draw_something() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or panel["targets"]


def test_what_the_compose_file_mounts_for_monitoring_exists() -> None:
    compose: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
    monitoring = {name: service for name, service in compose["services"].items() if service.get("profiles") == ["monitoring"]}
    assert monitoring.keys() == {"prometheus", "grafana"}
    for service in monitoring.values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert source in compose["volumes"] or (REPOSITORY / source).exists()
    for path in (DEPLOY / "grafana" / "provisioning").rglob("*.yml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["apiVersion"] == 1
