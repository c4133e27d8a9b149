"""The real streams are read whole, and on a cut of each every method is measured under both protocols."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamrec.config import Settings
from streamrec.evaluate import Options, run

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def shared_data() -> Path:
    folder = Path(os.environ.get("STREAMREC_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.fail(f"{folder} does not exist; set STREAMREC_SHARED_DATA to the folder of the shared data sets")
    return folder


@pytest.mark.parametrize("name", ["google_merch", "online_retail", "yoochoose100k"])
def test_a_cut_of_each_stream_is_measured(name: str, shared_data: Path) -> None:
    settings = Settings.model_validate({"model": {"name": "hashing"}})
    found = run(Options(data=shared_data, streams=(name,), limit=2500, sample=100), settings)
    for stream in (name, f"{name}:new"):
        methods = found["streams"][stream]
        assert {"streamrec", "recent_popular", "vmis_knn", "item_knn"} <= set(methods)
        assert all(0 <= figures["mrr@20"] <= figures["hr@20"] <= 1 for figures in methods.values())
        assert all(figures["ms"] > 0 and figures["bytes"] > 0 for figures in methods.values())
    if name == "yoochoose100k":
        # Clicks in sessions: whoever knows what was met together knows more than whoever counts. A cut of the other streams is too
        # thin for that: an invoice's lines are mostly first sales, and nine visits in ten of the merchandise store hold one hit.
        for session_based in ("vmis_knn", "item_knn", "last_item", "streamrec"):
            assert found["streams"][name][session_based]["mrr@20"] > 2 * found["streams"][name]["popular"]["mrr@20"]
