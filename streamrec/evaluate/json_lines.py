"""Reads data sets that are a JSON object in each line."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from streamrec.errors import DataError


def json_lines(path: Path, advice: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a gzipped file; raises DataError that names the line and ends in the advice."""
    number = 0
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                number += 1
                yield msgspec.json.decode(line, type=dict[str, Any])
    except (OSError, EOFError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"{path}, line {number}: {error}; {advice}"
        raise DataError(msg) from error
