"""The bench of the encoder measures the real thing."""

from __future__ import annotations

from streamrec.bench.embed import product_texts, run
from streamrec.config import ModelSettings
from tests.encoders import model_cache


def test_the_bench_reports_rates_a_ratio_and_the_agreement() -> None:
    result = run(product_texts(20), rounds=1, settings=ModelSettings(cache_dir=model_cache(), provider="cpu"))
    assert result["texts"] == 20
    assert set(result["rates"]) == {"numpy", "use_float32", "use_float16"}
    assert all(rate > 0 for rate in result["rates"].values())
    assert result["ratios"]["use_vs_numpy"] > 0
    assert min(result["cosine"].values()) >= 0.999


def test_product_texts_are_distinct_and_the_same_each_time() -> None:
    texts = product_texts(500)
    assert len(set(texts)) == 500
    assert texts == product_texts(500)
