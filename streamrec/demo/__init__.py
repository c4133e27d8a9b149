"""The demo: a real shop's events through the whole system, with a storefront that checks every answer; and replays of data.

Names are imported when they are used, because they bring Kafka and the local stack with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamrec.demo.data import open_data
    from streamrec.demo.options import DemoOptions
    from streamrec.demo.orchestrate import run_demo
    from streamrec.demo.replay import replay, replay_twice
    from streamrec.demo.report import Report

__all__ = ["DemoOptions", "Report", "open_data", "replay", "replay_twice", "run_demo"]

_HOMES = {
    "DemoOptions": "options",
    "Report": "report",
    "open_data": "data",
    "replay": "replay",
    "replay_twice": "replay",
    "run_demo": "orchestrate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - only where a name is used

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
