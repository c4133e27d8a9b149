"""What every encoder owes its caller."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from streamrec.embedding import Encoder
from tests.encoders import MULTILINGUAL, SAME_MEANING, UNRELATED, cosines, encoder, model_cache

TEXTS = [*MULTILINGUAL, "", " ", "a", "word " * 50]
MODELS = [(name, precision) for name in ("use-multilingual-v3", "minilm-int8") for precision in ("float32", "float16", "int8")]
MODELS += [("multilingual-e5-small", "float32"), ("multilingual-e5-small", "int8")]
#: E5 is trained at a low temperature, by which its cosines lie close together, and has prefixes that differ.
MARGIN = {"multilingual-e5-small": 0.05}
BESIDE = {"multilingual-e5-small": 0.9}


@pytest.fixture(params=[("hashing", "float32"), *MODELS], ids="-".join)
def subject(request: pytest.FixtureRequest) -> Encoder:
    return encoder(*request.param)


@pytest.fixture(params=MODELS, ids="-".join)
def model(request: pytest.FixtureRequest) -> Encoder:
    return encoder(*request.param)


def test_rows_are_float32_unit_vectors_of_the_stated_dimension(subject: Encoder) -> None:
    vectors = subject.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), subject.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-4)


def test_a_batch_gives_what_its_texts_give_one_by_one(subject: Encoder) -> None:
    single = np.vstack([subject.encode([text]) for text in TEXTS])
    assert cosines(subject.encode(TEXTS), single).min() >= 0.9999


def test_the_order_of_a_batch_does_not_count(subject: Encoder) -> None:
    order = np.random.default_rng(7).permutation(len(TEXTS))
    shuffled = subject.encode([TEXTS[i] for i in order])
    assert cosines(shuffled, subject.encode(TEXTS)[order]).min() >= 0.9999


def test_the_same_texts_give_the_same_vectors_again(subject: Encoder) -> None:
    np.testing.assert_array_equal(subject.encode(TEXTS), subject.encode(TEXTS))


def test_no_texts_give_no_rows(subject: Encoder) -> None:
    assert subject.encode([]).shape == (0, subject.dim)


def test_a_text_is_cut_where_the_encoder_stops_reading(subject: Encoder) -> None:
    long = "red running shoes " * 20_000
    vectors = subject.encode([long, long + "coffee machine", "red running shoes"])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert vectors[0] @ vectors[2] > 0.5


def test_lone_surrogates_are_text_like_any_other(subject: Encoder) -> None:
    assert np.isfinite(subject.encode(["broken \ud800 emoji"])).all()


def test_a_query_lies_beside_the_item_it_names(subject: Encoder) -> None:
    cosine = float(subject.encode(["red shoes"], query=True)[0] @ subject.encode(["red shoes"])[0])
    assert cosine > BESIDE.get(subject.name, 0.99)


def test_the_digest_is_16_hex_characters_and_no_two_encoders_share_one(subject: Encoder) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", subject.digest)
    others = [encoder(*key) for key in [("hashing", "float32"), *MODELS]]
    assert [other.digest for other in others].count(subject.digest) == 1


def test_texts_of_one_meaning_lie_closer_than_unrelated_ones(model: Encoder) -> None:
    for left, right in SAME_MEANING:
        a, b, c = model.encode([left, right, UNRELATED])
        assert a @ b > 0.4
        assert a @ b > a @ c + MARGIN.get(model.name, 0.2)


def test_a_multilingual_encoder_brings_translations_together() -> None:
    shoes = encoder("use-multilingual-v3").encode(
        ["running shoes", "Laufschuhe", "zapatillas de correr", "跑步鞋", "кроссовки для бега"]
    )
    coffee = encoder("use-multilingual-v3").encode(["ground coffee", "gemahlener Kaffee", "咖啡粉"])
    assert (shoes @ shoes.T).min() > 0.5
    assert (shoes @ coffee.T).max() < 0.5


def test_loading_and_encoding_print_nothing() -> None:
    """Neither import, device discovery nor the search for CUDA may write a line that looks like an error."""
    code = (
        "from streamrec.config import ModelSettings; from streamrec.embedding import load_encoder\n"
        f"load_encoder(ModelSettings(cache_dir={str(model_cache())!r})).encode(['hello'])"
    )
    encoder("use-multilingual-v3")
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
