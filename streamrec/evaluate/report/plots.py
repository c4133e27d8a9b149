"""Plots as SVG text that can stand within a page."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any, Final

from streamrec.evaluate.methods import OURS
from streamrec.plotting import pyplot

_OURS, _OTHERS = "#c2410c", "#64748b"
#: Width and height of a plot in inches.
_SIZE: Final = (4.6, 3.2)


def quality(methods: Mapping[str, Mapping[str, Any]], measure: str) -> str:
    """Return bars of a measure with 95 % intervals, the best on top."""
    draw = pyplot("--report")
    names = sorted(methods, key=lambda name: methods[name][measure])
    values = [methods[name][measure] for name in names]
    figure, axes = draw.subplots(figsize=_SIZE, layout="constrained")
    axes.barh(names, values, color=_colours(names))
    for place, name in enumerate(names):
        interval = methods[name].get("interval95", {}).get(measure)
        if interval:
            axes.plot(interval, [place, place], color="#0f172a", linewidth=1)
    axes.set(xlabel=measure.upper())
    axes.grid(visible=True, axis="x", alpha=0.3)
    return _svg(figure)


def cost(methods: Mapping[str, Mapping[str, Any]], measure: str) -> str:
    """Return a plot of a measure over the ms that a list takes."""
    draw = pyplot("--report")
    figure, axes = draw.subplots(figsize=_SIZE, layout="constrained")
    for name, figures in methods.items():
        axes.scatter([max(figures["ms"], 1e-4)], [figures[measure]], color=_colours([name]))
        axes.annotate(
            name, (max(figures["ms"], 1e-4), figures[measure]), fontsize="x-small", xytext=(3, 3), textcoords="offset points"
        )
    axes.set(xscale="log", xlabel="ms per list", ylabel=measure.upper())
    axes.grid(visible=True, alpha=0.3)
    return _svg(figure)


def worth(parts: Mapping[str, Mapping[str, Any]], measure: str) -> str:
    """Return bars of how much a measure changes without each part of the method of ours that is whole."""
    draw = pyplot("--report")
    whole = parts[OURS][measure]
    changes = {name: figures[measure] - whole for name, figures in parts.items() if name != OURS}
    names = sorted(changes, key=lambda name: -changes[name])
    figure, axes = draw.subplots(figsize=(_SIZE[0], 0.9 + 0.22 * len(names)), layout="constrained")
    axes.barh(names, [changes[name] for name in names], color=_OTHERS)
    axes.axvline(0.0, color="#0f172a", linewidth=0.8)
    axes.set(xlabel=f"change of {measure.upper()}")
    axes.grid(visible=True, axis="x", alpha=0.3)
    return _svg(figure)


def _colours(names: list[str]) -> list[str]:
    return [_OURS if name == OURS else _OTHERS for name in names]


def _svg(figure: Any) -> str:
    text = StringIO()
    # No date: the same figures give the same page.
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot("--report").close(figure)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
