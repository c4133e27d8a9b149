"""The real streams are read whole, and on a cut of each every method is measured under both protocols."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamrec.config import Settings
from streamrec.evaluate import Options, run
from streamrec.evaluate.experiment import rehearse, report_on
from streamrec.evaluate.run import open_stream
from streamrec.experiments.report import Report

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


def _rehearsed(shared_data: Path, ranking: dict[str, float], losses: dict[str, float] | None = None) -> Report:
    variants = [{"name": "control"}, {"name": "other", "ranking": ranking}]
    settings = Settings.model_validate({"model": {"name": "hashing"}, "experiment": {"name": "clicks", "variants": variants}})
    stream, texts = open_stream(settings, shared_data / "yoochoose100k", 4000)
    return report_on(settings, list(rehearse(stream, settings, texts, losses=losses)), window_ms=1_800_000)


def test_an_experiment_on_a_real_stream_finds_the_worse_variant(shared_data: Path) -> None:
    """Without what visitors met together and met again there is little to go by: items of this stream have no text."""
    control, other = _rehearsed(shared_data, {"weight_together": 0.0, "weight_again": 0.0}).variants
    assert control.ctr is not None
    assert other.ctr is not None
    assert other.ctr.difference is not None
    assert other.ctr.difference.p < 0.001
    assert other.ctr.value < control.ctr.value


def test_two_equal_variants_on_a_real_stream_do_not_differ_and_lost_visitors_are_seen(shared_data: Path) -> None:
    whole, lost = _rehearsed(shared_data, {}), _rehearsed(shared_data, {}, {"other": 0.3})
    assert whole.variants[1].ctr is not None
    assert whole.variants[1].ctr.difference is not None
    assert whole.variants[1].ctr.difference.p > 0.01
    assert not whole.sample_ratio.mismatch
    assert lost.sample_ratio.mismatch
