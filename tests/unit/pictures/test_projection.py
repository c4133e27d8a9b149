"""From pictures into the space of texts: the map is found where there is one, and vectors stay vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamrec.embedding.encoder import unit_rows
from streamrec.errors import ConfigError, ModelError
from streamrec.pictures.projection import Projection, fit, mix, mix_rows


def world(n: int = 400, noise: float = 0.1, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return features and unit texts that follow from them but for noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(2.0, 1.0, size=(n, 12)).astype(np.float32)
    truth = rng.normal(size=(12, 8))
    texts = (features - 2.0) @ truth + noise * rng.normal(size=(n, 8))
    return features, unit_rows(texts.astype(np.float32))


def test_a_map_that_is_there_is_found_on_pairs_that_were_not_shown() -> None:
    features, texts = world()
    found = fit(features[:300], texts[:300], eye="e", space="s")
    rows = found(features[300:])
    assert rows.shape == (100, 8)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert np.einsum("ij,ij->i", rows, texts[300:]).mean() > 0.9
    assert (found.eye, found.space, found.pairs) == ("e", "s", 300)


def test_the_strength_of_the_ridge_follows_the_noise() -> None:
    quiet, loud = (fit(*world(n=80, noise=noise), eye="e", space="s").ridge for noise in (0.01, 8.0))
    assert loud > quiet


def test_fitting_is_deterministic_and_the_digest_tells_maps_apart() -> None:
    features, texts = world()
    one, two = (fit(features, texts, eye="e", space="s") for _ in range(2))
    assert one.digest == two.digest
    assert fit(features[1:], texts[1:], eye="e", space="s").digest != one.digest
    assert fit(features, texts, eye="other", space="s").digest != one.digest


def test_a_projection_is_what_it_was_after_it_was_saved(tmp_path: Path) -> None:
    features, texts = world()
    one = fit(features, texts, eye="e", space="s")
    one.save(tmp_path / "new" / "p.npz")
    again = Projection.load(tmp_path / "new" / "p.npz")
    assert (again.digest, again.eye, again.space, again.pairs, again.ridge) == (one.digest, "e", "s", 400, one.ridge)
    np.testing.assert_array_equal(again(features), one(features))


@pytest.mark.parametrize("content", [b"", b"no file of arrays", b"PK\x03\x04"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(ModelError, match="streamrec pictures fit"):
        Projection.load(tmp_path / "p.npz")
    with pytest.raises(ModelError, match="streamrec pictures fit"):
        Projection.load(tmp_path / "missing.npz")


def test_too_few_pairs_are_refused() -> None:
    features, texts = world(20)
    with pytest.raises(ConfigError, match="at least 50"):
        fit(features, texts, eye="e", space="s")


def test_one_and_many_are_mixed_alike_and_the_weight_is_the_pictures() -> None:
    _, texts = world()
    pictures = texts[::-1].copy()
    rows = mix_rows(texts, pictures, 0.4)
    one = np.frombuffer(mix(texts[0].astype("<f2").tobytes(), pictures[0], 0.4), "<f2").astype(np.float32)
    np.testing.assert_allclose(one, rows[0], atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    heavy = mix_rows(texts, pictures, 0.99)
    assert np.einsum("ij,ij->i", heavy, pictures).min() > 0.99
