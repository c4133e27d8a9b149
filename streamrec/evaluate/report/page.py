"""The page that people read: HTML with its style and plots inside."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

from streamrec.errors import ConfigError
from streamrec.evaluate.methods import OURS
from streamrec.evaluate.report import plots
from streamrec.evaluate.report.standing import standing
from streamrec.evaluate.tables import COLUMNS, FRAUD_COLUMNS, fraud_rows, rows
from streamrec.evaluate.tally import SEGMENTS
from streamrec.plotting import pyplot

#: What decides which of two methods is the better.
MEASURES: Final = ("hr@20", "mrr@20")
_PROTOCOLS: Final = {"": "all targets", ":new": "new items only"}


def render(result: Mapping[str, Any]) -> str:
    """Return a result of ``run`` as one HTML page."""
    environment = _environment()
    environment.globals.update(columns=COLUMNS, fraud_columns=FRAUD_COLUMNS, fraud_rows=fraud_rows, ours=OURS)
    template = environment.from_string(files("streamrec.evaluate.report").joinpath("page.html.jinja").read_text("utf-8"))
    return str(template.render(streams=[_stream(name, result) for name in result["data"]]))


def libraries() -> None:
    """Raise ConfigError where a library that the page needs is not installed."""
    _environment()
    pyplot("--report")


def _environment() -> Any:
    try:
        jinja2 = import_module("jinja2")
    except ImportError as error:
        msg = "the report needs jinja2; pip install 'streamrec[bench]', or leave --report out"
        raise ConfigError(msg) from error
    return jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)


def _stream(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    parts = [
        _part(title, told, result[kind][name + protocol])
        for kind, title in (("streams", "Event by event"), ("sessions", "Trained, then tested on the last days"))
        for protocol, told in _PROTOCOLS.items()
        if result[kind].get(name + protocol)
    ]
    ablations = [
        {"told": told, "rows": rows(found), "plots": [plots.worth(found, measure) for measure in MEASURES]}
        for protocol, told in _PROTOCOLS.items()
        if OURS in (found := result["ablation"].get(name + protocol, {}))
    ]
    return {
        "name": name,
        "data": result["data"][name],
        "missing": result["missing"].get(name, {}),
        "parts": parts,
        "ablations": ablations,
        "fraud": result.get("fraud", {}).get(name),
    }


def _part(title: str, told: str, methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    drawn = [*(plots.quality(methods, measure) for measure in MEASURES), plots.cost(methods, MEASURES[0])]
    standings = [standing(methods, OURS, measure) for measure in MEASURES] if OURS in methods and len(methods) > 1 else []
    segments = [
        (segment, [(name, figures["segments"][segment]) for name, figures in methods.items() if segment in figures["segments"]])
        for segment in SEGMENTS
    ]
    return {
        "title": f"{title}: {told}",
        "rows": rows(methods),
        "plots": drawn,
        "standings": standings,
        "segments": [(segment, found) for segment, found in segments if found],
    }
