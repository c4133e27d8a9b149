"""The figures of ``streamrec evaluate`` in a folder: for programs, for people, and for the next run, which goes on from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from streamrec.errors import ConfigError
from streamrec.evaluate.report.page import libraries, render
from streamrec.evaluate.tables import COLUMNS, FRAUD_COLUMNS, fraud_rows, markdown, rows

#: The parts of a result that hold streams by name, after which a table of methods follows.
TABLES: Final = ("streams", "sessions", "ablation")
_FIGURES: Final = "evaluate.json"


class Report:
    """A folder with ``evaluate.json``, ``evaluate.md`` and ``index.html``, which needs no other file."""

    def __init__(self, folder: Path) -> None:
        """Raise ConfigError where a library that draws the page is not installed: before anything is measured for an hour."""
        libraries()
        self._folder = folder

    def read(self) -> dict[str, Any]:
        """Return what was measured so far, {} where nothing was.

        Raises ConfigError where the folder holds something else.
        """
        path = self._folder / _FIGURES
        if not path.exists():
            return {}
        try:
            found = json.loads(path.read_bytes())
            if not {*TABLES, "data"} <= found.keys():
                raise ValueError(f"it lacks {', '.join(sorted({*TABLES, 'data'} - found.keys()))}")  # noqa: TRY301 - told below
        except (ValueError, AttributeError) as error:
            msg = f"{path} holds no figures of this verb ({error}); remove it, or write the report elsewhere"
            raise ConfigError(msg) from error
        return dict(found)

    def write(self, result: Mapping[str, Any]) -> list[Path]:
        """Write a result as ``run`` returns it; return the files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        named = {
            _FIGURES: json.dumps(result, indent=2, ensure_ascii=False) + "\n",
            "evaluate.md": "\n".join(_tables(result)),
            "index.html": render(result),
        }
        for name, text in named.items():
            (self._folder / name).write_text(text, encoding="utf-8")
        return [self._folder / name for name in named]


def _tables(result: Mapping[str, Any]) -> list[str]:
    lines = []
    for kind in TABLES:
        for stream, methods in result[kind].items():
            lines += [f"### {kind}: {stream}", "", markdown(COLUMNS, rows(methods)), ""]
    for stream, found in result.get("fraud", {}).items():
        lines += [f"### fraud: {stream}, lists of {found['audience']} others", "", markdown(FRAUD_COLUMNS, fraud_rows(found)), ""]
    return lines
