"""What pictures add, in a world where it is known: titles that say nothing, pictures that say all, and the other way round."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamrec.config import ModelSettings, Settings
from streamrec.errors import DataError
from streamrec.evaluate.pictures import Options, read_goods, run
from streamrec.evaluate.pictures.judging import among, asked_by
from streamrec.evaluate.pictures.run import poor
from streamrec.pictures.projection import Projection
from streamrec.pictures.settings import PictureSettings
from tests.picture_server import encoded
from tests.unit.cli.fakes import FakeParts
from tests.unit.cli.fakes import run as invoke
from tests.unit.pictures.graphs import mean_colour

KINDS = {"hat": (220, 40, 40), "shoe": (40, 220, 40), "bag": (40, 40, 220)}


def shop(folder: Path, n: int = 240, *, archive: bool = False) -> Path:
    """Write a catalogue of hats, shoes and bags; of every other one the title does not say which it is."""
    rng = np.random.default_rng(4)
    lines, files = [], {}
    for number in range(n):
        kind = list(KINDS)[number % 3]
        title = f"{kind} number {number}" if number % 2 else f"number {number}"
        lines.append(json.dumps({"item_id": f"sku-{number}", "title": title, "category": kind}))
        shade = np.clip(np.array(KINDS[kind]) + rng.integers(-30, 30, 3), 0, 255)
        files[f"sku-{number}.png"] = encoded("PNG", tuple(int(one) for one in shade), (20, 20))
    lines.append(json.dumps({"item_id": "without", "title": "no picture"}))
    files["sku-0.png"] = b"<html>"
    (folder / "catalogue.jsonl").write_text("\n".join(lines))
    if archive:
        with zipfile.ZipFile(folder / "images.zip", "w") as held:
            for name, content in files.items():
                held.writestr(f"pictures/{name}", content)
    else:
        (folder / "images").mkdir()
        for name, content in files.items():
            (folder / "images" / name).write_bytes(content)
    return folder


def colours(folder: Path) -> Settings:
    pictures = PictureSettings(
        model="onnx", onnx_path=mean_colour(folder / "eye.onnx"), projections=(Path("p.npz"),), input_size=16
    )
    return Settings(model=ModelSettings(name="hashing", cache_dir=folder), pictures=pictures)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("shop")
    return run(Options(shop(folder)), colours(folder))


def test_goods_are_counted_and_what_cannot_be_seen_is_told(result: dict[str, Any]) -> None:
    data = result["data"]
    assert (data["goods"], data["kinds"], data["refused"]) == (239, 3, {"broken": 1})
    assert data["fitted_on"] + data["weights_tried_on"] + data["judged"] == 239
    assert result["eye"]["features"] == 3


def test_where_pictures_tell_the_kind_they_add_and_where_some_are_missing_they_add_less(result: dict[str, Any]) -> None:
    same = result["encoders"]["hashing"]["same_kind"]
    recall = {name: told["recall@10"] for name, told in same.items()}
    assert recall["picture"] > 0.95
    assert recall["title"] < recall["both, every other without picture"] < recall["both"]
    assert recall["poor title"] < 0.55 < recall["poor title and picture"]
    assert same["both"]["lead_recall@10_95"][0] > 0.0
    low, high = same["title"]["recall@10_95"]
    assert low < recall["title"] < high


def test_the_tables_hold_every_way_and_weight(result: dict[str, Any]) -> None:
    told = result["encoders"]["hashing"]
    assert list(told["weights"]) == ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]
    assert {"title", "picture", "both", "poor title"} <= told["asked_by_kind"].keys() <= told["same_kind"].keys()
    assert told["geometry"]["query_of_its_kind_and_item_with"] > told["geometry"]["any_query_and_item_with"]


def test_vectors_that_are_the_kind_find_everything_and_random_ones_their_share() -> None:
    kinds = np.repeat(np.arange(5), 40)
    perfect = among(np.eye(5, dtype=np.float32)[kinds], kinds)
    assert perfect.figures(1)["precision@10"] == perfect.figures(1)["recall@10_per_kind"] == 1.0
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(200, 64)).astype(np.float32)
    low, high = among(vectors, kinds).figures(1)["precision@10_95"]
    assert low < 39 / 199 < high
    asked = asked_by(np.eye(6, dtype=np.float32)[:, :5], np.arange(6), np.eye(5, dtype=np.float32)[kinds], kinds)
    assert (asked.hits.tolist(), asked.possible.tolist()) == ([10] * 5, [40] * 5)


def test_a_kind_of_which_there_is_one_asks_nothing_and_few_count_as_all() -> None:
    found = among(np.eye(4, dtype=np.float32)[[0, 0, 0, 3]], np.array([0, 0, 0, 1]))
    assert found.possible.tolist() == [2, 2, 2]
    assert found.recall.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("title", "kind", "left"),
    [
        ("Nike Men Red T-shirt", "Tshirts", "Nike Men Red"),
        ("Titan Watch", "Watches", "Titan Watch"),
        ("Shoes", "Casual Shoes", "Shoes"),
        ("Puma Casual Shoe, black", "Casual Shoes", "Puma black"),
    ],
)
def test_a_poor_title_is_one_without_the_words_of_its_kind(title: str, kind: str, left: str) -> None:
    assert poor(title, kind) == left


def test_pictures_come_from_a_folder_or_an_archive(tmp_path: Path) -> None:
    goods = read_goods(shop(tmp_path, 30, archive=True))
    assert len(goods.ids) == 30
    place = goods.ids.index("sku-0")
    assert goods.picture(place) == b"<html>"
    assert read_goods(tmp_path, 7).ids == goods.ids[:7]
    assert goods.part([place]).picture(0) == b"<html>"


def test_data_without_goods_or_with_a_wrong_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"give a folder with catalogue\.jsonl"):
        read_goods(tmp_path)
    (tmp_path / "catalogue.jsonl").write_text('{"item_id": "a", "title": "A"}\n')
    with pytest.raises(DataError, match="no item"):
        read_goods(tmp_path)
    (tmp_path / "catalogue.jsonl").write_text('{"item_id": "a"}\n')
    with pytest.raises(DataError, match="line 1"):
        read_goods(tmp_path)


def test_the_verbs_fit_a_file_that_workers_read_and_print_the_figures(tmp_path: Path) -> None:
    parts = FakeParts()
    parts.settings = colours(tmp_path)
    data, out = str(shop(tmp_path)), tmp_path / "fitted.npz"
    fitted = invoke(parts, "pictures", "fit", "--data", data, "--out", str(out), "--json")
    assert fitted.exit_code == 0, fitted.stderr
    assert json.loads(fitted.stdout)["pairs"] == 239
    assert Projection.load(out).digest == json.loads(fitted.stdout)["digest"]
    told = invoke(parts, "pictures", "evaluate", "--data", data, "--json")
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout)["weight"] == 0.4
    table = invoke(parts, "pictures", "evaluate", "--data", data)
    assert "nearest of each good" in table.stdout
