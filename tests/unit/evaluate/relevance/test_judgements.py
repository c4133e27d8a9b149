"""Labelled data are read as they were published, and what is wrong in them is named with its line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from streamrec.errors import DataError
from streamrec.evaluate.relevance.judgements import LabelledSet, open_labelled
from tests.unit.evaluate.relevance.toys import KINDS, write_lines, write_own

CHORUS: list[dict[str, Any]] = [
    {"id": "1", "title": "Acme AA batteries", "supplier": "Acme", "price": 295, "date_released": "2009-12-10T00:00:00Z"},
    {"id": "2", "title": "Acme notebook", "attr_t_product_type": "Notebook", "short_description": "fast<br />light"},
    {"id": "3", "title": "Bolt hub", "attr_t_product_type": "1", "date_released": "1994-09-01T00:00:00Z"},
]


def read(folder: Path) -> LabelledSet:
    [reader] = open_labelled(folder).values()
    return reader()


def test_any_shops_data_are_a_catalogue_and_judgements(tmp_path: Path) -> None:
    data = read(write_own(tmp_path / "shop"))
    assert data.name == "shop"
    assert [query.text for query in data.variants[""]] == list(KINDS)
    assert data.variants[""][0].fitting(data.least) == ["mug-black", "mug-blue", "mug-green", "mug-red"]
    # Half of the greatest grade, rounded up.
    assert data.least == 2


def test_a_folder_of_folders_holds_several_sets_and_passes_over_what_is_none(tmp_path: Path) -> None:
    write_own(tmp_path / "one")
    write_own(tmp_path / "two")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing")
    assert list(open_labelled(tmp_path)) == ["one", "two"]
    assert list(open_labelled(tmp_path, ["two"])) == ["two"]
    with pytest.raises(DataError, match=r"three is not there; it holds one, two"):
        open_labelled(tmp_path, ["three"])


def test_where_nothing_is_labelled_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no labelled data at all.*judgements\.csv"):
        open_labelled(tmp_path)
    with pytest.raises(DataError, match="no labelled data at all"):
        open_labelled(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("query,item_id\nmug,mug-red\n", "line 1: the column grade is missing"),
        ("query,item_id,grade\nmug,mug-red,3\nmug,mug-blue,good\n", "line 3: the grade is 'good'"),
        ("query,item_id,grade\nmug,mug-red,-1\n", "line 2: the grade is '-1'"),
        ("query,item_id,grade\nmug,mug-red,11\n", "whole number from 0 to 10"),
        ("query,item_id,grade\n ,mug-red,1\n", "line 2: the query is empty"),
        ("query,item_id,grade\nmug,nobody,1\n", "no item that it judges is in the catalogue"),
        ("query,item_id,grade\n", "no item that it judges is in the catalogue"),
    ],
)
def test_wrong_judgements_are_refused_with_what_to_do(tmp_path: Path, text: str, problem: str) -> None:
    folder = write_own(tmp_path / "shop", judgements=text)
    with pytest.raises(DataError, match=problem):
        read(folder)


def test_judgements_of_items_that_are_gone_are_counted(tmp_path: Path) -> None:
    text = "query,item_id,grade\nmug,mug-red,1\nmug,gone,1\nmug,mug-red,0\n"
    data = read(write_own(tmp_path / "shop", judgements=text))
    assert data.notes == ["1 judgements of items that are not in the catalogue were left out"]
    # Of an item judged twice the later row counts.
    assert data.variants[""][0].grades == {"mug-red": 0}


def test_a_file_that_is_cut_off_is_an_error_of_the_data(tmp_path: Path) -> None:
    write_lines(tmp_path / "products.jsonl.gz", CHORUS * 300)
    (tmp_path / "Broad_Query_Set_rated.csv").write_text("query,docid,rating\naa battery,1,3\n")
    whole = (tmp_path / "products.jsonl.gz").read_bytes()
    (tmp_path / "products.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="correct the line or take it out"):
        read(tmp_path)


def test_chorus_is_read_with_our_translations(tmp_path: Path) -> None:
    write_lines(tmp_path / "products.jsonl.gz", CHORUS)
    rows = ["query,docid,rating", "aa battery,1,3", "aa battery,2,0", "usb hub,3,2", "iphone 11,2,0"]
    (tmp_path / "Broad_Query_Set_rated.csv").write_text("\n".join(rows))
    data = read(tmp_path)
    first, second, third = data.items.values()
    assert (first.brand, first.price, first.ts) == ("Acme", 2.95, 1_260_403_200_000)
    assert (second.category, second.description) == ("Notebook", "fast light")
    # A number says no category, and nothing may be older than the oldest moment that a message may have.
    assert (third.category, third.ts) == ("", 946_684_800_000)
    assert [query.text for query in data.variants[":zh"]] == ["五号电池", "USB集线器"]
    assert [query.text for query in data.variants[":zh-only"]] == ["五号电池"]
    assert data.variants[":zh"][0].original == "aa battery"
    assert data.variants[":zh"][0].grades == {"1": 3, "2": 0}


def test_qbqtc_is_pairs_and_queries_that_have_a_title_to_find(tmp_path: Path) -> None:
    write_lines(tmp_path / "dev.jsonl.gz", [{"query": "咳嗽", "title": "咳嗽吃什么药", "label": "2"}])
    more = [{"query": "咳嗽", "title": "感冒", "label": "0"}, {"query": "天气", "title": "感冒", "label": "1"}]
    write_lines(tmp_path / "test_public.jsonl.gz", more)
    data = read(tmp_path)
    assert [item.title for item in data.items.values()] == ["咳嗽吃什么药", "感冒"]
    assert data.pairs == [("咳嗽", "t0", 2), ("咳嗽", "t1", 0), ("天气", "t1", 1)]
    assert [(query.text, query.grades) for query in data.variants[""]] == [("咳嗽", {"t0": 2, "t1": 0})]
    assert not data.deep
    write_lines(tmp_path / "dev.jsonl.gz", [{"query": "咳嗽", "title": "药", "label": "7"}])
    with pytest.raises(DataError, match="a label is '7'"):
        read(tmp_path)


def test_jd_titles_fit_the_product_words_that_people_marked_in_them(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"id": "a", "title": "透明手机壳", "source": "gold_dev", "entities": [[0, 2, "13", "透明"], [2, 5, "4", "手机壳"]]},
        {"id": "b", "title": "键盘", "source": "gold_dev", "entities": [[0, 2, "4", "键盘"]]},
        {"id": "c", "title": "手机壳", "source": "test_A", "entities": None},
        {"id": "d", "title": "怪东西", "source": "gold_dev", "entities": [[0, 3, "4", "怪东西"]]},
    ]
    write_lines(tmp_path / "titles.jsonl.gz", lines)
    data = read(tmp_path)
    assert list(data.items) == ["a", "b", "d"]
    assert [(query.text, query.grades) for query in data.variants[""]] == [("手机壳", {"a": 1}), ("键盘", {"b": 1})]
    assert [(query.text, query.original) for query in data.variants[":en"]] == [("phone case", "手机壳"), ("keyboard", "键盘")]


@pytest.mark.shared_data
def test_every_translation_is_of_a_query_that_is_there() -> None:
    shared = Path(os.environ.get("STREAMREC_SHARED_DATA", Path(__file__).resolve().parents[5] / "shared" / "data"))
    chorus = open_labelled(shared / "icecat_chorus")["icecat_chorus"]()
    assert len(chorus.items) == 19_406
    assert len(chorus.variants[""]) == 135
    assert len(chorus.variants[":zh"]) == 112
    words = open_labelled(shared / "jd_titles_zh")["jd_titles_zh"]()
    assert len(words.variants[":en"]) == len(words.variants[""]) == 88
