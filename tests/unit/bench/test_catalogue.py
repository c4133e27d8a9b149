"""A bench catalogue holds real titles first, and derived vectors whose geometry is that of the real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from streamrec.bench.catalogue import BenchCatalogue, Title, bench_catalogue
from streamrec.bench.catalogue.geometry import CHUNK, derive, describe, near_neighbours, parents
from streamrec.bench.catalogue.titles import real_titles
from streamrec.config import ModelSettings
from streamrec.embedding import item_text, load_encoder
from streamrec.errors import DataError

WORDS = ("red", "blue", "green", "small", "large", "wool", "linen", "steel", "oak", "glass")
KINDS = ("shirt", "kettle", "lamp", "chair", "phone case")
TITLES = [
    Title(f"{a} {b} {kind} {size}", kind, f"brand {a}", 9.5) for a in WORDS for b in WORDS for kind in KINDS for size in range(2)
]


def make(folder: Path, n: int, seed: int = 7) -> BenchCatalogue:
    return bench_catalogue(n, seed=seed, titles=TITLES, settings=ModelSettings(name="hashing", cache_dir=folder))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> BenchCatalogue:
    return make(tmp_path_factory.mktemp("catalogue"), 3000)


def test_every_vector_has_norm_one(catalogue: BenchCatalogue) -> None:
    assert catalogue.vectors.dtype == np.float16
    assert np.allclose(np.linalg.norm(catalogue.vectors.astype(np.float32), axis=1), 1.0, atol=2e-3)


def test_real_items_come_first_with_the_vectors_that_the_embedder_gives_them(catalogue: BenchCatalogue) -> None:
    assert catalogue.real == len(TITLES)
    encoder = load_encoder(ModelSettings(name="hashing"))
    expected = encoder.encode([item_text(catalogue.item(i, 1)) for i in (0, 17, len(TITLES) - 1)])
    assert np.array_equal(catalogue.vectors[[0, 17, len(TITLES) - 1]], expected.astype(np.float16))
    assert catalogue.model_digest == encoder.digest


def test_the_same_arguments_give_the_same_catalogue_and_another_seed_another(tmp_path: Path, catalogue: BenchCatalogue) -> None:
    again, other = make(tmp_path, 3000), make(tmp_path, 3000, seed=8)
    assert np.array_equal(catalogue.vectors, again.vectors)
    assert [catalogue.item(i, 5) for i in (0, 2999)] == [again.item(i, 5) for i in (0, 2999)]
    assert not np.array_equal(catalogue.vectors[catalogue.real :], other.vectors[other.real :])


def test_a_smaller_catalogue_is_the_beginning_of_a_larger_one() -> None:
    real = np.eye(24, dtype=np.float32)
    neighbours = near_neighbours(real)
    larger, smaller = (np.concatenate(list(derive(real, neighbours, size, 3))) for size in (CHUNK + 10, 10))
    assert np.array_equal(larger[:10], smaller)
    assert len(larger) == len(parents(24, CHUNK + 10, 3)) == CHUNK + 10


def test_a_larger_file_serves_a_smaller_catalogue_and_files_appear_as_a_whole(tmp_path: Path) -> None:
    whole = make(tmp_path, 2500)
    files = sorted(path.name for path in tmp_path.rglob("*.*"))
    part = make(tmp_path, 2000)
    assert np.array_equal(part.vectors, whole.vectors[:2000])
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == files
    assert not [name for name in files if name.endswith(".tmp")]


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    expected = make(tmp_path, 1200).vectors.copy()
    for path in tmp_path.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(make(tmp_path, 1200).vectors, expected)


def test_a_derived_item_lies_nearer_to_its_parent_than_to_others_and_is_no_copy(catalogue: BenchCatalogue) -> None:
    vectors = catalogue.vectors.astype(np.float32)
    derived = range(catalogue.real, len(catalogue))
    cosines = np.array([vectors[i] @ vectors[catalogue.parent(i)] for i in derived])
    others = np.einsum("ij,ij->i", vectors[catalogue.real :], np.roll(vectors[catalogue.real :], 1, axis=0))
    assert np.median(cosines) > np.median(others) + 0.3
    assert cosines.max() < 0.9999


def test_the_derived_geometry_is_near_the_real_one(catalogue: BenchCatalogue) -> None:
    real, derived = catalogue.geometry["real"], catalogue.geometry["derived"]
    assert real["rows"] == derived["rows"]
    assert abs(real["tenth"] - derived["tenth"]) < 0.1


def test_the_measures_of_known_points_are_known() -> None:
    measured = describe(np.repeat(np.eye(4, 8, dtype=np.float16), 20, axis=0))
    assert measured["nearest"] == measured["tenth"] == 1.0
    assert measured["explained_96"] == 1.0


def test_items_are_told_apart_and_keep_their_parents_category_and_brand(catalogue: BenchCatalogue) -> None:
    items = [catalogue.item(i, 1) for i in range(len(catalogue))]
    assert len({catalogue.item_id(i) for i in range(len(catalogue))}) == len({item.title for item in items}) == len(catalogue)
    last = len(catalogue) - 1
    parent = items[catalogue.parent(last)]
    assert (items[last].category, items[last].brand) == (parent.category, parent.brand)
    assert items[last].title.startswith(parent.title)
    assert all(item.price and item.quantity for item in items)


def test_sellers_have_a_long_tail(catalogue: BenchCatalogue) -> None:
    counts: dict[str, int] = {}
    for i in range(len(catalogue)):
        seller = catalogue.item(i, 1).seller
        counts[seller] = counts.get(seller, 0) + 1
    assert max(counts.values()) > 0.1 * len(catalogue)
    assert min(counts.values()) <= 3


def test_titles_of_a_folder_are_read_with_what_is_known_of_them(tmp_path: Path) -> None:
    _write(
        tmp_path / "fashion44k/products.jsonl.gz", [{"title": "Nike Air  Max", "category": ["Footwear", "Shoes", "Sports Shoes"]}]
    )
    row = {"title": "Acme Desk", "brand": "Acme", "price": 800.0, "category_path": ["Furniture", "Desks", "Acme Desk"]}
    _write(tmp_path / "flipkart20k/products.jsonl.gz", [row])
    rows: list[dict[str, object]] = [
        {"title": "美的电风扇", "entities": [[0, 2, "1", "美的"], [2, 5, "4", "电风扇"]]},
        {"title": "大电风扇", "entities": None},
    ]
    _write(tmp_path / "jd_titles_zh/titles.jsonl.gz", rows)
    found = real_titles(tmp_path)
    titles = {title.title: title for title in found}
    assert titles["Nike Air Max"] == Title("Nike Air Max", "Sports Shoes", "Nike")
    assert titles["Acme Desk"] == Title("Acme Desk", "Desks", "Acme", 10.0)
    assert titles["美的电风扇"] == Title("美的电风扇", "电风扇", "美的")
    assert titles["大电风扇"].category == "电风扇"
    assert len(found) > 20_000  # The Complete Journey's are always among them


def test_a_damaged_title_file_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "fashion44k/products.jsonl.gz", [])
    (tmp_path / "fashion44k/products.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="fashion44k"):
        real_titles(tmp_path)


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
