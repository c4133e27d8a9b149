"""What a person sees while the demo runs: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from streamrec.demo.report import LATENCIES, Latency

_LINE_EVERY_S: Final = 5.0


@dataclass(frozen=True)
class Frame:
    """What one moment looks like."""

    phase: str
    left_s: float
    events_per_s: float
    reads: int
    violations: int
    latencies: Mapping[str, Sequence[float]]
    visitor: str = ""
    #: (item's title, why, mark) of the visitor's list, best first; the mark is ``new``, ``gone`` or empty.
    shelf: Sequence[tuple[str, str, str]] = ()
    happened: Sequence[str] = field(default_factory=tuple)
    #: The latencies that are shown, with their words, and what it is that goes on.
    words: Mapping[str, str] = field(default_factory=lambda: LATENCIES)
    title: str = "streamrec demo"


class View(Protocol):
    """Shows how the demo goes; as a context manager it owns the screen."""

    def say(self, line: str) -> None:
        """Show one line that stays."""
        ...

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far a step has come."""
        ...

    def show(self, frame: Frame) -> None:
        """Show the present moment."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class PlainView:
    """Lines of text, few of them; for logs and pipes."""

    def __init__(self, write: Callable[[str], object] = click.echo, every_s: float = _LINE_EVERY_S) -> None:
        self._write, self._every_s = write, every_s
        self._said: tuple[str, int] = ("", -1)
        self._next_left_s: float | None = None
        self._phase = ""

    def say(self, line: str) -> None:
        """Write the line."""
        self._write(line)

    def progress(self, what: str, done: int, total: int) -> None:
        """Write a line for each quarter of the step."""
        quarter = 4 * done // max(total, 1)
        if (what, quarter) != self._said:
            self._said = (what, quarter)
            self._write(f"{what}: {done:,} of {total:,}")

    def show(self, frame: Frame) -> None:
        """Write a line every few seconds of a phase."""
        if frame.phase != self._phase:
            self._phase, self._next_left_s = frame.phase, None
        if self._next_left_s is None or frame.left_s <= self._next_left_s:
            self._next_left_s = frame.left_s - self._every_s
            self._write(_line(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class LiveView:
    """A panel that is redrawn in place."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._live: Live | None = None
        self._open = ExitStack()

    def say(self, line: str) -> None:
        """Print the line above whatever is live."""
        self._console.print(line, markup=False, highlight=False)

    def progress(self, what: str, done: int, total: int) -> None:
        """Draw a bar."""
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = self._open.enter_context(Progress(*columns, console=self._console))
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)

    def show(self, frame: Frame) -> None:
        """Redraw the panel."""
        self._end_bar()
        if self._live is None:
            self._live = self._open.enter_context(Live(console=self._console, refresh_per_second=4, transient=True))
        self._live.update(render(frame))

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._open.close()
            self._bar, self._tasks = None, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._live = self._bar = None


def view_for(*, live: bool | None) -> View:
    """Return the live view when asked for, or by default on a terminal; else plain lines."""
    return LiveView() if live or (live is None and sys.stdout.isatty()) else PlainView()


def render(frame: Frame) -> Panel:
    """Return the panel of one moment."""
    color = "red" if frame.violations else "green"
    head = Text.assemble(
        (f"{frame.events_per_s:,.0f}", "bold"),
        " events/s   ",
        (f"{frame.reads:,}", "bold"),
        " guarded reads   ",
        (f"{frame.violations} violations", f"bold {color}"),
    )
    parts: list[RenderableType] = [head, _latency_table(frame)]
    if frame.shelf:
        parts.append(_shelf_table(frame))
    parts += [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in frame.happened]
    return Panel(Group(*parts), title=f"{frame.title} · {frame.phase} · {max(frame.left_s, 0):.0f} s left")


def _latency_table(frame: Frame) -> Table:
    table = Table(box=None, padding=(0, 2))
    for name in ("milliseconds", "p50", "p95", "p99", "n"):
        table.add_column(name, justify="left" if name == "milliseconds" else "right")
    for name, words in frame.words.items():
        latency = Latency.of(frame.latencies.get(name, ()))
        table.add_row(words, *(_ms(value) for value in (latency.p50, latency.p95, latency.p99)), f"{latency.n:,}")
    return table


def _shelf_table(frame: Frame) -> Table:
    table = Table(box=None, padding=(0, 2), title=f"the list of {frame.visitor}", title_justify="left")
    for name in ("", "item", "why"):
        table.add_column(name, no_wrap=True)
    styles = {"new": "green", "gone": "red strike"}
    for title, why, mark in frame.shelf:
        table.add_row({"new": "+", "gone": "-"}.get(mark, ""), Text(title), Text(why), style=styles.get(mark, ""))
    return table


def _ms(value: float | None) -> str:
    return "—" if value is None else f"{value:,.0f}"


def _line(frame: Frame) -> str:
    medians = []
    for name in frame.words:
        latency = Latency.of(frame.latencies.get(name, ()))
        if latency.n:
            medians.append(f"{name} {_ms(latency.p50)}/{_ms(latency.p99)} ms")
    figures = f"{frame.events_per_s:,.0f} events/s, {frame.reads:,} reads, {frame.violations} violations"
    return f"[{frame.phase}, {max(frame.left_s, 0):.0f} s left] {figures}" + (f"; p50/p99: {', '.join(medians)}" if medians else "")
