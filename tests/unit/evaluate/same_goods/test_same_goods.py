"""Questions about the same goods have the answers that can be told by hand, and the figures count them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from streamrec.cli.app import root
from streamrec.errors import DataError
from streamrec.evaluate.same_goods.run import _measured
from streamrec.evaluate.same_goods.tasks import Question, Task, open_tasks


def write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    products: list[dict[str, Any]] = [
        {"id": f"{number}", "name": f"K{number}", "title": f"Acme K{number} cable {number} m", "supplier": "Acme"}
        for number in range(30)
    ]
    products += [
        {"id": "a", "name": "Bolt", "title": "Acme Bolt cable red", "supplier": "Acme", "attr_t_product_type": "cable"},
        {
            "id": "b",
            "name": "Bolt",
            "title": "Acme Bolt cable blue",
            "supplier": "Acme",
            "attr_t_length": "2 m",
            "attr_n_width": 3.0,
        },
        {"id": "c", "name": "Bolt", "title": "Acme Bolt cable blue", "supplier": "Acme"},
        {"id": "1069117", "name": "Glossy", "title": "Epson Premium Glossy 13 x 19 20 sheets", "supplier": "Epson"},
        {
            "id": "w",
            "name": "X1",
            "title": "Zed X1 lamp",
            "supplier": "Zed",
            "short_description": "A light for the desk, bright and white",
        },
        {
            "id": "v",
            "name": "X2",
            "title": "Zed X2 lamp",
            "supplier": "Zed",
            "short_description": "The X2, a light for the desk of all",
        },
    ]
    write(tmp_path / "icecat_chorus" / "products.jsonl.gz", products)
    marked = [[0, 1, "4", "壳"], [1, 2, "4", "套"], [2, 3, "1", "某"]]
    write(
        tmp_path / "jd_titles_zh" / "titles.jsonl.gz",
        [
            {"id": "j1", "title": "壳套 红", "source": "gold_dev", "entities": marked},
            {"id": "j2", "title": "套 蓝 壳", "source": "gold_dev", "entities": marked[::-1]},
            {"id": "j3", "title": "灯", "source": "gold_dev", "entities": [[0, 1, "4", "灯"]]},
            {"id": "jd000241", "title": "得力印泥盒", "source": "gold_dev", "entities": []},
            {"id": "j4", "title": "壳套 红 绿", "source": "test_A", "entities": None},
        ],
    )
    return tmp_path


def tasks(data: Path, items: int = 0, questions: int = 0, seed: int = 1) -> dict[str, Task]:
    return {task.name: task for task in open_tasks(data, items, questions, seed)}


def asked(task: Task) -> list[tuple[str, set[str]]]:
    return [(question.text, {task.items[place].title for place in question.answers}) for question in task.questions]


def test_items_of_one_line_ask_for_the_others_of_another_title(data: Path) -> None:
    task = tasks(data)["icecat: one line"]
    assert asked(task) == [("Acme Bolt cable red", {"Acme Bolt cable blue"})]
    assert [(task.items[q.itself].title, len(q.answers)) for q in task.questions] == [("Acme Bolt cable red", 2)]
    blue = next(item for item in task.items if item.attributes.get("attr_t_length"))
    assert blue.attributes == {"attr_t_length": "2 m"}


def test_a_description_that_names_the_model_is_no_question(data: Path) -> None:
    assert asked(tasks(data)["icecat: in other words"]) == [("A light for the desk, bright and white", {"Zed X1 lamp"})]


def test_translations_ask_for_the_product_that_they_are_of(data: Path) -> None:
    found = tasks(data)
    assert asked(found["icecat: in zh"]) == [("爱普生高级光面照片纸 13x19英寸 20张", {"Epson Premium Glossy 13 x 19 20 sheets"})]
    assert asked(found["jd: in en"]) == [("Deli ink pad for stamps, red, square metal box, quick drying", {"得力印泥盒"})]


def test_titles_with_the_same_product_words_belong_together_whatever_else_they_say(data: Path) -> None:
    task = tasks(data)["jd: the same product words"]
    assert asked(task) == [("壳套 红", {"套 蓝 壳"})]
    assert len(task.items) == 4  # unlabelled titles are none of them


def test_names_in_two_languages_ask_for_each_other(data: Path) -> None:
    found = tasks(data)
    there, back = found["names: zh to en"], found["names: en to zh"]
    assert {q.text for q in there.questions} == {item.title for item in back.items}
    assert all(q.answers for q in (*there.questions, *back.questions))


def test_what_is_asked_for_is_always_among_the_items_and_the_rest_is_drawn_by_the_seed(data: Path) -> None:
    few, again, other = (tasks(data, items=6, seed=seed)["icecat: one line"] for seed in (1, 1, 2))
    assert len(few.items) == 6
    assert asked(few) == asked(other) == [("Acme Bolt cable red", {"Acme Bolt cable blue"})]
    assert few.items == again.items
    assert few.items != other.items
    assert len(tasks(data, questions=5)["names: zh to en"].questions) == 5


def test_a_folder_without_data_is_refused_with_what_to_give(tmp_path: Path, data: Path) -> None:
    with pytest.raises(DataError, match=r"give a folder that holds icecat_chorus/products\.jsonl\.gz"):
        list(open_tasks(tmp_path / "nowhere", 0, 0, 1))
    (data / "jd_titles_zh" / "titles.jsonl.gz").write_bytes(b"torn")
    with pytest.raises(DataError, match="give the file as it was published"):
        list(open_tasks(data, 0, 0, 1))


def test_recall_counts_the_answers_among_the_ten_nearest() -> None:
    scores = np.linspace(1, 0, 30)
    assert _measured(Question("q", frozenset({0, 9})), scores) == (1.0, 1.0)
    assert _measured(Question("q", frozenset({1, 10})), scores) == (0.5, 0.0)
    assert _measured(Question("q", frozenset({1, 10}), itself=0), scores) == (1.0, 1.0)  # the own place is none of the ten
    assert _measured(Question("q", frozenset(range(20))), scores) == (1.0, 1.0)  # no more than ten can be found
    assert _measured(Question("q", frozenset({0})), np.full(30, -np.inf)) == (0.0, 0.0)
    assert _measured(Question("q", frozenset({0})), np.zeros(30)) == (0.0, 0.0)  # ties help nobody


def test_the_verb_measures_every_task_by_both_texts(data: Path) -> None:
    result = CliRunner().invoke(root, ["same-goods", "--data", str(data), "--model", "hashing", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {name: set(labels) for name, labels in found["recall"].items()} == {
        "icecat: one line": {"title", "item_text"},
        "icecat: in other words": {"title", "item_text"},
        "icecat: in zh": {"title", "item_text"},
        "icecat: in de": {"title", "item_text"},
        "jd: the same product words": {"title"},
        "jd: in en": {"title"},
        "names: zh to en": {"title"},
        "names: en to zh": {"title"},
    }
    line = found["recall"]["icecat: one line"]["title"]
    assert line["hashing"]["recall@10"] == line["bm25"]["recall@10"] == 1.0
    assert found["models"]["hashing"]["texts"] > 0
    shown = CliRunner().invoke(root, ["same-goods", "--data", str(data), "--model", "hashing", "--questions", "3"])
    assert "icecat: one line" in shown.output
