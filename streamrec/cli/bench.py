"""``streamrec bench``: what this machine holds."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from streamrec.cli.output import emit, json_option, table


@click.group()
def bench() -> None:
    """Measure a part on this machine."""


def _bench(name: str, text: str) -> None:
    @bench.command(name, help=text)
    @json_option
    def measure(as_json: bool) -> None:
        result: dict[str, Any] = import_module(f"streamrec.bench.{name}").run()
        if as_json:
            emit(result)
        else:
            table(["measure", "value"], list(_flat(result)))


def _flat(values: dict[str, Any], prefix: str = "") -> list[list[Any]]:
    rows: list[list[Any]] = []
    for name, value in values.items():
        rows += _flat(value, f"{prefix}{name} ") if isinstance(value, dict) else [[prefix + name, value]]
    return rows


_bench("embed", "Texts embedded per second by the configured encoder.")
_bench("index", "Searches per second, recall and churn of the vector index.")
_bench("lists", "Lists and profiles written and read per second; needs nothing running.")
_bench("rank", "Milliseconds to rank one visitor by batch size, and microseconds of the work around it.")
