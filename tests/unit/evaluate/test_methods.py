"""Each method gives the list that its definition gives on streams small enough to work it out by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf, log, sqrt

import numpy as np
import pytest

from streamrec.config import Settings
from streamrec.evaluate.footprint import footprint
from streamrec.evaluate.methods import METHODS, Method, Parts, build
from streamrec.evaluate.methods.baseline import Baseline, DecayedCounts, Items, top_rows
from streamrec.evaluate.methods.content import Content
from streamrec.evaluate.methods.covisitation import MAX_PARTNERS, ItemKnn, LastItem
from streamrec.evaluate.methods.factorisation import Als, Bpr, missing
from streamrec.evaluate.methods.popular import Popular, RecentPopular
from streamrec.evaluate.methods.vmis_knn import VmisKnn
from streamrec.evaluate.streams import Stream
from tests.unit.evaluate.toys import DAY_MS, T0, item, steps_of, stream, texts, visits

LATER = T0 + DAY_MS
needs_implicit = pytest.mark.skipif(bool(missing()) and not os.environ.get("STREAMREC_REQUIRE_ALL"), reason=missing())


def taught(method: Baseline, toy: Stream, visitor: str = "", letters: str = "") -> Baseline:
    """The method after the stream and, for it to answer, one visitor's further session, which it only remembers."""
    for step in toy.steps:
        method.learn(step)
    for step in steps_of(visitor, letters, LATER):
        method.remember(step)
    return method


def asked(method: Baseline, k: int = 20, exclude: frozenset[str] = frozenset(), visitor: str = "me") -> str:
    return "".join(method.recommend(visitor, LATER, k, exclude))


def scores(method: Baseline, visitor: str = "me") -> dict[str, float]:
    found = method._scores(visitor, method.histories[visitor], LATER)
    assert found is not None
    return {method.items.ids[row]: float(found[row]) for row in np.flatnonzero(found)}


def test_popular_counts_all_time_and_recent_popular_forgets() -> None:
    old, new = ["aaa", "aab", "ab"], ["bc", "cb"]
    toy = visits(*old, *new, gap_ms=DAY_MS)
    assert asked(taught(Popular(), toy)) == "abc"
    assert asked(taught(RecentPopular(6 * 3600), toy)) in {"bca", "cba"}
    assert asked(taught(Popular(), toy), k=2, exclude=frozenset("a")) == "bc"


def test_decayed_counts_stay_finite_and_keep_their_ratios_over_years() -> None:
    counts = DecayedCounts(3600_000)
    for hour in range(20_000):
        counts.add(0, T0 + hour * 3600_000)
        counts.add(1, T0 + hour * 3600_000)
        counts.add(1, T0 + hour * 3600_000)
    assert counts.read(2).tolist() == pytest.approx([0.5, 1.0])
    counts.add(0, T0 + 20_001 * 3600_000)
    assert counts.read(2)[0] > counts.read(2)[1] * 0.9
    forever = DecayedCounts(inf)
    for at_ms in (0, T0, 3 * T0):
        forever.add(5000, at_ms)
    assert forever.read(5001)[5000] == 1.0


def test_rows_are_chosen_as_a_sort_would_and_zero_is_no_candidate() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        order = rng.integers(0, 6, 40).astype(np.float64)
        without = rng.choice(40, 5, replace=False).tolist()
        kept = [row for row in range(40) if row not in without and order[row] > 0]
        expected = sorted(kept, key=lambda row: (-order[row], row))[:7]
        found = top_rows(order.copy(), 7, without)
        assert [order[row] for row in found] == [order[row] for row in expected]
        assert len(set(found)) == len(found)
        assert not set(found) & set(without)
    assert top_rows(np.empty(0), 3, []) == []


def test_last_item_weighs_pairs_by_their_distance_in_both_directions() -> None:
    toy = visits("abc", "bb", "ca")
    assert scores(taught(LastItem(), toy, "me", "b")) == {"a": 1.0, "c": 1.0, "b": 1.0}
    assert scores(taught(LastItem(), toy, "me", "xa")) == {"b": 1.0, "c": 1.5}
    assert asked(taught(LastItem(), toy, "me", "a"), k=2) == "cb"


def test_an_item_keeps_its_strongest_partners_only() -> None:
    method = LastItem(window=1)
    for step in visits("ab").steps:
        method.learn(step)
    for n in range(3 * MAX_PARTNERS):
        for step in steps_of(f"v{n}", "ab", T0 + n * 10_000, 100 + n):
            method.learn(step)
        for step in steps_of(f"w{n}", ["a", f"rare-{n}"], T0 + n * 10_000 + 5_000, 10_000 + n):  # type: ignore[arg-type]
            method.learn(step)
    partners = method._pairs[method.items.row("a")]
    assert len(partners) <= 2 * MAX_PARTNERS
    assert partners[method.items.row("b")] == 3 * MAX_PARTNERS + 1


def test_item_knn_is_the_damped_cosine_of_sets_of_sessions() -> None:
    toy = visits("ab", "ab", "ac", "bbc")
    found = scores(taught(ItemKnn(shrinkage=1.0), toy, "me", "a"))
    assert found == pytest.approx({"a": 3 / 4, "b": 2 / (sqrt(9) + 1), "c": 1 / (sqrt(6) + 1)})
    two = scores(taught(ItemKnn(shrinkage=1.0), toy, "me", "ca"))
    assert two["b"] == pytest.approx(2 / (sqrt(9) + 1) + 0.5 * 1 / (sqrt(6) + 1))


def test_vmis_knn_follows_the_paper_on_three_sessions() -> None:
    """Running session a, b. Similarities: 'abx' 1/2 + 2/2, 'by' 2/2, 'az' 1/2; latest shared item is b, b, a."""
    method = taught(VmisKnn(), visits("abx", "by", "az", "q"), "me", "ab")
    idf = {name: log(1 + 4 / holders) for name, holders in {"a": 2, "b": 2, "x": 1, "y": 1, "z": 1}.items()}
    votes = {"abx": 1.5 * 0.9, "by": 1.0 * 0.9, "az": 0.5 * 0.8}
    expected = {name: idf[name] * sum(vote for items, vote in votes.items() if name in items) for name in idf}
    assert scores(method) == pytest.approx(expected)


def test_vmis_knn_asks_the_most_recent_sessions_only() -> None:
    toy = visits("ab", "ac", "ad")
    assert set(scores(taught(VmisKnn(m=2), toy, "me", "a"))) == {"a", "c", "d"}
    assert set(scores(taught(VmisKnn(k=1), toy, "me", "a"))) == {"a", "d"}


def test_a_running_session_is_no_neighbour_of_itself() -> None:
    method = VmisKnn()
    for step in visits("ab").steps:
        method.learn(step)
    assert scores(method, "visitor-0") == {}


def test_content_lists_items_whose_words_are_alike() -> None:
    titles = {"a": "red mug", "b": "red cup", "c": "blue sofa", "d": "blue sofa bed"}
    toy = stream([item(name, title) for name, title in titles.items()], has_text=True)
    method = taught(Content(texts(toy)), toy, "me", "d")
    assert asked(method, k=2) == "dc"
    assert asked(method, k=1, exclude=frozenset("d")) == "c"


def blocks() -> Stream:
    """Visitors are after one of two groups of items; each leaves out one item of the group."""
    groups = ("abcdef", "uvwxyz")
    sessions = [group.replace(group[left], "") for group in groups for left in range(6) for _ in range(4)]
    return visits(*sessions, gap_ms=DAY_MS // 40)


@needs_implicit
@pytest.mark.parametrize("method", [lambda: Als(3600, factors=4), lambda: Bpr(3600, factors=4, iterations=300)], ids=["als", "bpr"])
def test_factorisation_lists_the_own_group_and_knows_what_the_last_fit_knew(method: Callable[[], Als | Bpr]) -> None:
    toy, model = blocks(), method()
    for step in toy.steps:
        model.learn(step)
    assert model.fitted_ms is not None
    assert 0 <= toy.steps[-1].at_ms - model.fitted_ms <= 2 * 3600_000
    for step in steps_of("me", "uvwxy", LATER):
        model.remember(step)
    assert asked(model, k=1, exclude=frozenset("uvwxy")) == "z"
    assert set(asked(model, k=6)) == set("uvwxyz")


@needs_implicit
def test_between_two_fits_a_factorisation_does_not_change() -> None:
    toy, model = blocks(), Als(30 * 86_400.0, factors=4)
    for step in toy.steps:
        model.learn(step)
    assert model._model is None
    assert asked(model, k=2, visitor="visitor-0") == asked(model, k=2, visitor="nobody")


def test_without_implicit_its_methods_are_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamrec.evaluate.methods.factorisation.find_spec", lambda _: None)
    built, absent = build(("als", "bpr", "content", "popular"), Parts(Settings(), visits("ab"), None, 1.0))
    assert list(built) == ["popular"]
    assert "pip install" in absent["als"]
    assert "no text" in absent["content"]


@pytest.mark.parametrize("name", [name for name in METHODS if name not in {"als", "bpr"}])
def test_asking_teaches_nothing_and_excluded_items_are_never_listed(name: str) -> None:
    toy = visits("abcd", "bcda", "dcba", "abba", "cdab")
    settings = Settings.model_validate({"index": {"kind": "exact"}})
    first, second = (_built(name, toy, settings) for _ in range(2))
    for step in toy.steps:
        for _ in range(3):
            first.settle()
            listed = first.recommend(step.visitor, step.at_ms, 3, {"a"})
            assert "a" not in listed
            assert len(listed) == len(set(listed)) <= 3
        first.learn(step)
        second.learn(step)
    for method in (first, second):
        method.settle()
    visitors = [f"visitor-{n}" for n in range(5)] + ["nobody"]
    assert [first.recommend(v, LATER, 4) for v in visitors] == [second.recommend(v, LATER, 4) for v in visitors]
    assert first.nbytes > 1000


def _built(name: str, toy: Stream, settings: Settings) -> Method:
    built, absent = build((name,), Parts(settings, toy, texts(toy), 86_400.0))
    assert absent == {}
    return built[name]


def test_a_footprint_counts_each_object_once_and_what_arrays_hold() -> None:
    array = np.zeros(10_000)
    once, twice = footprint([array]), footprint([array, array])
    assert array.nbytes < once < array.nbytes + 1000
    assert twice - once < 100
    assert footprint([array], without=(array,)) < 1000
    items = Items()
    before = footprint(items)
    for n in range(100):
        items.row(f"item {n}")
    assert footprint(items) - before > 100 * 40
