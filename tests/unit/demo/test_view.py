"""The view shows what is going on, on a terminal and as plain lines, whatever the names of items hold."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from streamrec.demo.view import Frame, LiveView, PlainView, render, view_for


def frame(left_s: float = 42.0, phase: str = "measuring", violations: int = 0) -> Frame:
    return Frame(
        phase=phase,
        left_s=left_s,
        events_per_s=150.0,
        reads=1234,
        violations=violations,
        latencies={"click_to_list": [10.0, 20.0, 30.0]},
        visitor="household-7",
        shelf=[("Apple [bold]sauce", "together: Bread", "new"), ("Candles", "", "gone")],
        happened=("an example",),
    )


def drawn(shown: Frame) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(render(shown))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_panel_shows_throughput_freshness_a_visitors_list_and_violations() -> None:
    text = drawn(frame(violations=2))
    for words in (
        "150 events/s",
        "1,234 guarded reads",
        "2 violations",
        "click → list",
        "household-7",
        "together: Bread",
        "an example",
    ):
        assert words in text


def test_text_of_items_is_never_taken_for_markup() -> None:
    assert "Apple [bold]sauce" in drawn(frame())


def test_plain_lines_are_few() -> None:
    lines: list[str] = []
    view = PlainView(lines.append)
    with view:
        for tenth in range(300):
            view.show(frame(left_s=30 - tenth / 10))
        for done in range(1, 1001):
            view.progress("items", done, 1000)
    assert len([line for line in lines if line.startswith("[measuring")]) == 6
    assert lines[-1] == "items: 1,000 of 1,000"
    assert len([line for line in lines if line.startswith("items")]) == 5
    assert "click_to_list 20/30 ms" in lines[0]


def test_a_new_phase_is_told_at_once() -> None:
    lines: list[str] = []
    view = PlainView(lines.append)
    view.show(frame(left_s=5, phase="warming up"))
    view.show(frame(left_s=60, phase="measuring"))
    assert [line.partition(",")[0] for line in lines] == ["[warming up", "[measuring"]


def test_the_live_view_draws_bars_and_then_a_panel() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with LiveView(console) as view:
        view.say("data: [a] shop")
        view.progress("items", 5, 10)
        view.progress("items", 10, 10)
        view.show(frame())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "data: [a] shop" in text
    assert "10/10" in text
    assert "household-7" in text


@pytest.mark.parametrize(("live", "kind"), [(True, LiveView), (False, PlainView)])
def test_the_view_that_is_asked_for_is_taken(live: bool, kind: type) -> None:
    assert isinstance(view_for(live=live), kind)
