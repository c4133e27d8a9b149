"""What a person or a program reads: lists, reasons, and the proof of being forgotten."""

from __future__ import annotations

import json

import pytest

from streamrec.client import Answer
from streamrec.lists.packing import ListItem, RankedList
from streamrec.lists.visitors import VisitorUpdate
from tests.unit.cli.fakes import NOW_MS, FakeParts, run


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["top", "v-1"], ("top", "v-1", 10, "home")),
        (["top", "v-1", "-n", "3", "--placement", "cart"], ("top", "v-1", 3, "cart")),
        (["similar", "sku-1"], ("similar", "sku-1", 10)),
        (["together", "sku-1"], ("together", "sku-1", 10)),
        (["trending"], ("trending", "all", 10)),
        (["new", "kitchen"], ("new", "kitchen", 10)),
    ],
)
def test_a_list_is_read_and_shown(parts: FakeParts, arguments: list[str], asked: tuple[object, ...]) -> None:
    parts.fake_redis.hashes["item:{sku-1}"] = {"title": "Cups [bold]\x1b[31m", "price": "9.5"}
    result = run(parts, *arguments)
    assert parts.fake_storefront.asked == [asked]
    assert "sku-1" in result.stdout
    assert r"Cups [bold]\x1b[31m" in result.stdout
    assert "content:sku-9" in result.stdout
    assert "from list, made 2026-01-01 00:00:00 UTC" in result.stdout


def test_a_list_is_json_for_programs(parts: FakeParts) -> None:
    answer = json.loads(run(parts, "top", "v-1", "--json").stdout)
    assert answer["source"] == "list"
    assert answer["items"][0] == {"id": "sku-1", "score": 0.75, "why": "content:sku-9"}


def test_no_list_is_said_and_not_an_empty_table(parts: FakeParts) -> None:
    parts.fake_storefront.answer = Answer("none", 0, "", "", ())
    assert run(parts, "top", "v-1").stdout.startswith("nothing: no list stands")


ITEM = {"id": "sku-1", "score": 0.5, "why": "search:cup"}
FOUND = {"made_at": NOW_MS, "v": 1, "variant": "default", "digest": "d", "items": [ITEM]}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["search", "red cup"], "/search?q=red+cup&n=10"),
        (
            ["search", "cup", "--brand", "A&B", "--brand", "C", "--price-max", "9.5", "-n", "3"],
            "/search?q=cup&n=3&brand=A%26B&brand=C&price_max=9.5",
        ),
        (["similar", "sku 1/2", "--category", "cups", "--seller", "Ann"], "/similar/sku%201%2F2?n=10&category=cups&seller=Ann"),
        (["similar", "sku-1", "--price-min", "0", "--quantity-min", "2"], "/similar/sku-1?n=10&price_min=0.0&quantity_min=2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_search_under_rules_asks_a_recommender_and_shows_its_list(parts: FakeParts, arguments: list[str], path: str) -> None:
    parts.heartbeat("c", "recommender", url="http://c:1/")
    parts.pages = Sorted({_sorted(f"http://c:1{path}"): (200, json.dumps(FOUND).encode())})
    parts.fake_redis.hashes["item:{sku-1}"] = {"title": "Cups", "price": "9.5"}
    result = run(parts, *arguments)
    assert result.exit_code == 0, result.output
    assert "Cups" in result.stdout
    assert "search:cup" in result.stdout
    assert "from recommender, made 2026-01-01" in result.stdout
    answer = json.loads(run(parts, *arguments, "--json").stdout)
    assert (answer["source"], answer["items"]) == ("recommender", [ITEM])
    assert parts.fake_storefront.asked == []


def _sorted(url: str) -> str:
    path, _, query = url.partition("?")
    return f"{path}?{'&'.join(sorted(query.split('&')))}"


class Sorted(dict[str, tuple[int, bytes]]):
    """Pages that are found whatever the order of their parameters."""

    def __contains__(self, url: object) -> bool:
        return super().__contains__(_sorted(str(url)))

    def __getitem__(self, url: str) -> tuple[int, bytes]:
        return super().__getitem__(_sorted(url))


def test_what_a_recommender_refuses_is_told_and_nobody_else_is_asked(parts: FakeParts) -> None:
    for name in ("a", "b"):
        parts.heartbeat(name, "recommender", url=f"http://{name}:1")
    parts.pages["http://a:1/search?q=x&n=10&price_min=9.0&price_max=1.0"] = (400, b'{"error": "exchange them"}')
    result = run(parts, "search", "x", "--price-min", "9", "--price-max", "1")
    assert (result.exit_code, result.stderr) == (2, "streamrec: exchange them\n")


def test_a_recommender_that_cannot_search_now_leaves_it_to_another(parts: FakeParts) -> None:
    for name in ("a", "b"):
        parts.heartbeat(name, "recommender", url=f"http://{name}:1")
    parts.pages["http://a:1/search?q=x&n=10"] = (503, b'{"error": "wait"}')
    parts.pages["http://b:1/search?q=x&n=10"] = (200, json.dumps(FOUND | {"items": []}).encode())
    assert run(parts, "search", "x").stdout.startswith("nothing")


EXPLANATION = {
    "shown": False,
    "position": None,
    "score": 0.5,
    "why": "trending",
    "parts": {"trending": 0.3, "content": 0.2},
    "reasons": ["sold out since 10:00", "bought on 2025-12-30"],
}


def test_why_asks_a_ready_recommender_and_prints_its_reasons(parts: FakeParts) -> None:
    parts.heartbeat("a", "availability", url="http://a:1")
    parts.heartbeat("b", "recommender", ready=False, url="http://b:1")
    parts.heartbeat("c", "embedder", "recommender", url="http://c:1")
    parts.pages["http://c:1/why/v%2F1/sku%201"] = (200, json.dumps(EXPLANATION).encode())
    result = run(parts, "why", "v/1", "sku 1")
    assert result.exit_code == 0
    assert "sku 1 is not in the list of v/1" in result.stdout
    assert "sold out since 10:00" in result.stdout
    assert result.stdout.index("trending") < result.stdout.index("content")
    assert json.loads(run(parts, "why", "v/1", "sku 1", "--json").stdout) == EXPLANATION
    parts.pages["http://c:1/why/v%2F1/sku%201?placement=cart"] = (200, json.dumps(EXPLANATION | {"score": 0.25}).encode())
    assert json.loads(run(parts, "why", "v/1", "sku 1", "--placement", "cart", "--json").stdout)["score"] == 0.25


def test_why_names_the_position_and_the_reason_of_what_is_shown(parts: FakeParts) -> None:
    parts.heartbeat("c", "recommender", url="http://c:1")
    shown = EXPLANATION | {"shown": True, "position": 3, "reasons": [], "learnt": {"together": 1.25, "again": 0.5}}
    parts.pages["http://c:1/why/v/i"] = (200, json.dumps(shown).encode())
    text = run(parts, "why", "v", "i").stdout
    assert "i is number 3 in the list of v, score 0.5" in text
    assert "because of trending" in text
    assert "weights of parts as clicks taught them: again × 0.5, together × 1.25" in text


def test_why_goes_on_to_the_next_recommender(parts: FakeParts) -> None:
    for name in ("a", "b", "c"):
        parts.heartbeat(name, "recommender", url=f"http://{name}:1")
    parts.pages["http://b:1/why/v/i"] = (500, b"oh")
    parts.pages["http://c:1/why/v/i"] = (200, json.dumps(EXPLANATION).encode())
    assert run(parts, "why", "v", "i").exit_code == 0


def test_why_says_so_when_nobody_can_answer(parts: FakeParts) -> None:
    result = run(parts, "why", "v", "i")
    assert result.exit_code == 2
    assert "no recommender is alive and ready; start one with `streamrec worker --roles recommender`" in result.stderr
    parts.heartbeat("a", "recommender", url="http://a:1")
    assert "1 of them answered with nobody listens" in run(parts, "why", "v", "i").stderr


def test_forget_deletes_profile_and_lists_and_proves_it(parts: FakeParts) -> None:
    [profile] = parts.visitors.load(["v-1"])
    ranked = RankedList(NOW_MS, (ListItem("sku-1", 1.0, "new"),))
    assert parts.visitors.commit([VisitorUpdate("v-1", profile, {"home": ranked, "cart": ranked})]) == [True]
    result = run(parts, "forget", "v-1")
    assert result.exit_code == 0
    for name in ("profile:{v-1}", "rec:{v-1}", "rec:{v-1}:cart"):
        assert f"deleted {name} (" in result.stdout
    assert "keys of v-1 before: 3, left: none" in result.stdout
    assert parts.fake_forgotten.noted == {"v-1": NOW_MS}  # a rebuild passes over what was before
    assert json.loads(run(parts, "forget", "v-1", "--json").stdout) == {"user": "v-1", "deleted": {}, "remaining": []}
