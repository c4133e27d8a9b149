"""The figures of ``streamrec bench index`` as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from streamrec.cli.output import table

_COLUMNS: Final = {
    "recall": "recall_at_10",
    "worst": "worst_recall",
    "p50 ms": "p50_ms",
    "p99 ms": "p99_ms",
    "p99 during": "during_p99_ms",
    "MB": "memory_mb",
    "peak MB": "peak_mb",
    "inserts/s": "inserts_per_s",
    "updates/s": "updates_per_s",
    "queries/s": "queries_per_s",
    "missing": "missing",
}


def show(result: dict[str, Any]) -> None:
    """Print one table of all engines, one of the filters and one of the tier, and what each engine did."""
    engines = {"streamrec": result, **result["peers"]}
    title = f"{result['items']:,} items, {result['dim']} dimensions, {result['queries']} queries, {result['cores']} cores"
    rows = [[name, state, *_figures(figures)] for name, engine in engines.items() for state, figures in _states(engine)]
    table(["engine", "state", *_COLUMNS], rows, title=title)
    columns = ("share", "recall_at_10", "worst_recall", "p50_ms", "p99_ms")
    table(["filter", *columns], [[entry["filter"], *(entry[name] for name in columns)] for entry in result["filters"]])
    if result["tier"]:
        _show_tier(result["tier"])
    if result["exact"]:
        _show_exact(result["exact"], result["exact_crossover"])
    for name, engine in engines.items():
        if "ratios" in engine:
            told = ", ".join(f"{measure} {value}" for measure, value in engine["ratios"].items())
            click.echo(f"{name}, last cycle to a fresh build: {told}; updated items missing {engine['missing']} times")
    for note in (*result["notes"], *(f"{name}: {why}" for name, why in result["not_installed"].items())):
        click.echo(note)


def _states(engine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "fresh", engine["fresh"]
    for cycle in engine["cycles"]:
        yield f"cycle {cycle['cycle']}", cycle
    if "rebuilt" in engine:
        yield "rebuilt", engine["rebuilt"]


def _figures(figures: dict[str, Any]) -> list[Any]:
    return [figures.get(name, "-") for name in _COLUMNS.values()]


def _show_exact(sizes: list[dict[str, Any]], crossover: dict[str, dict[str, int | None]]) -> None:
    batches = list(next(iter(crossover.values())))
    recall = f"recall_at_{sizes[0]['k']}"
    engines = [(f"{size['items']:,}", name, engine) for size in sizes for name, engine in size["engines"].items()]
    timed = [(f"{what} of {batch}", batch, key) for batch in batches for what, key in (("p50 ms", "p50_ms"), ("p99 ms", "p99_ms"))]
    rows = []
    for items, name, engine in engines:
        by_batch = engine["batches"]
        times = [by_batch[batch][key] for _, batch, key in timed]
        rows.append([items, name, *times, *(by_batch[batch]["queries_per_s"] for batch in batches)])
    table(
        ["items", "index", *(heading for heading, _, _ in timed), *(f"queries/s of {batch}" for batch in batches)],
        rows,
        title=f"exact search and the graph in turns, asked for {sizes[0]['k']} by so many queries at once",
    )
    measures = ("recall_at_10", recall, "bytes_per_item", "memory_mb", "inserts_per_s", "updates_per_s")
    table(["items", "index", *measures], [[items, name, *(engine[m] for m in measures)] for items, name, engine in engines])
    for name, ends in crossover.items():
        told = ", ".join(f"{batch}: {'all sizes' if end is None else f'{end:,}'}" for batch, end in ends.items())
        click.echo(f"{name} is faster than the graph up to so many items, by queries at once: {told}")
    for name, why in sizes[0]["missing"].items():
        click.echo(f"{name}: {why}")


def _show_tier(tier: dict[str, Any]) -> None:
    columns = ("saving", "bytes_per_item", "memory_mb", "recall_at_10", "worst_recall", "p50_ms", "p99_ms", "inserts_per_s")
    rows = {"hnswlib float32": tier["float32"], **tier["variants"]}
    table(
        ["variant", *columns],
        [[name, *(row.get(c, "-") for c in columns)] for name, row in rows.items()],
        title=f"{tier['items']:,} items, {tier['queries']:,} queries",
    )
    for note in tier["notes"]:
        click.echo(note)
