"""What verbs print: JSON for programs, tables for people. Text from outside is printed so that it cannot steer a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def emit(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows under column names; numbers stand right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        drawn.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row))
    # A pipe has no width: there a long reason must not be folded in the middle of a word.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200).print(drawn)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value + 0.0:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # + 0.0: no -0
    return safe(str(value), 10_000)


def safe(text: str | bytes | None, longest: int = 60) -> str:
    """Return text on one line with everything unprintable escaped, cut after ``longest`` characters."""
    if text is None:
        return "(null)"
    if isinstance(text, bytes):
        text = text[: 4 * longest].decode(errors="backslashreplace")
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def when(ms: int) -> str:
    """Return a moment for people: UTC to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def progress() -> Progress:
    """Return a progress display on stderr, silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def steps_of(bar: Progress) -> Callable[[str, int, int], None]:
    """Return what tells a display of a task by its name: how many steps more were done, and of how many (0: nobody knows)."""
    tasks: dict[str, TaskID] = {}

    def say(what: str, steps: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total or None, note="")
        bar.advance(tasks[what], steps)

    return say
