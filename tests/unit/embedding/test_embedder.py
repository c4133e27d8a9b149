"""The embedder's laws, on an encoder that counts what it is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.embedding import Embedder, HashingEncoder, content_digest, item_text, unpack_vectors
from streamrec.errors import ConfigError
from streamrec.events import CatalogItem

TS = 1_767_225_600_000


class CountingEncoder(HashingEncoder):
    def __init__(self) -> None:
        super().__init__(dim=16)
        self.asked: list[str] = []
        self.fail = False

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        if self.fail:
            raise RuntimeError("out of memory")
        self.asked += texts
        return super().encode(texts, query=query)


def item(title: str = "Red shoes", ts: int = TS, **fields: object) -> CatalogItem:
    return CatalogItem(title=title, ts=ts, **fields)  # type: ignore[arg-type]


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def embedder(encoder: CountingEncoder) -> Embedder:
    return Embedder(encoder, max_items=100, max_texts=100)


def test_a_new_item_gives_a_complete_vector_message(embedder: Embedder, encoder: CountingEncoder) -> None:
    [(item_id, message)] = embedder.update([("a", item())])
    assert item_id == "a"
    assert message is not None
    assert (message.dim, message.ts, message.model_digest) == (16, TS, encoder.digest)
    assert message.content_digest == content_digest(item_text(item()), encoder.digest)
    np.testing.assert_allclose(unpack_vectors([message]), encoder.encode(["Red shoes"]), atol=1e-3)


def test_the_same_message_again_says_nothing(embedder: Embedder) -> None:
    embedder.update([("a", item())])
    assert embedder.update([("a", item())]) == []


def test_price_stock_image_and_time_do_not_embed_again(embedder: Embedder, encoder: CountingEncoder) -> None:
    embedder.update([("a", item(price=1.0, quantity=5))])
    later = item(
        ts=TS + 1, price=2.0, quantity=0, currency="EUR", image_url="https://example.org/a.jpg", attributes={"seller": "s"}
    )
    assert embedder.update([("a", later)]) == []
    assert encoder.asked == ["Red shoes"]


def test_a_new_title_embeds_again(embedder: Embedder, encoder: CountingEncoder) -> None:
    embedder.update([("a", item())])
    [(_, message)] = embedder.update([("a", item("Blue shoes", TS + 1))])
    assert message is not None
    assert message.ts == TS + 1
    assert encoder.asked == ["Red shoes", "Blue shoes"]


def test_equal_texts_are_embedded_once_in_a_batch_and_across_batches(embedder: Embedder, encoder: CountingEncoder) -> None:
    first = embedder.update([("a", item()), ("b", item())])
    second = embedder.update([("c", item())])
    assert [item_id for item_id, _ in [*first, *second]] == ["a", "b", "c"]
    assert len({message.vector for _, message in [*first, *second] if message}) == 1
    assert encoder.asked == ["Red shoes"]


def test_the_last_message_of_an_item_in_a_batch_wins(embedder: Embedder, encoder: CountingEncoder) -> None:
    [(_, message)] = embedder.update([("a", item("Old")), ("a", item("New"))])
    assert message is not None
    assert message.content_digest == content_digest("New", encoder.digest)
    assert encoder.asked == ["New"]


def test_an_older_message_never_brings_an_old_text_back(embedder: Embedder, encoder: CountingEncoder) -> None:
    assert len(embedder.update([("a", item("New", TS + 1)), ("a", item("Old", TS))])) == 1
    assert embedder.update([("a", item("Old", TS))]) == []
    assert encoder.asked == ["New"]


def test_a_removed_item_is_passed_on_once(embedder: Embedder) -> None:
    embedder.update([("a", item())])
    assert embedder.update([("a", None)]) == [("a", None)]
    assert embedder.update([("a", None)]) == []


def test_an_item_never_seen_is_removed_all_the_same(embedder: Embedder) -> None:
    """After a restart the embedder does not know what was there, so it must not swallow the removal."""
    assert embedder.update([("a", None)]) == [("a", None)]


def test_a_removed_item_comes_back(embedder: Embedder) -> None:
    embedder.update([("a", item()), ("a", None)])
    [(_, message)] = embedder.update([("a", item())])
    assert message is not None


def test_added_and_removed_in_one_batch_is_removed(embedder: Embedder, encoder: CountingEncoder) -> None:
    assert embedder.update([("a", item()), ("a", None)]) == [("a", None)]
    assert encoder.asked == []


def test_forgotten_items_are_sent_again_with_the_same_vector(encoder: CountingEncoder) -> None:
    embedder = Embedder(encoder, max_items=2, max_texts=2)
    first = embedder.update([("a", item("A")), ("b", item("B")), ("c", item("C"))])
    assert embedder.update([("a", item("A"))]) == first[:1]
    assert embedder.update([("c", item("C"))]) == []


@pytest.mark.parametrize("bounds", [{"max_items": 0}, {"max_texts": 0}])
def test_a_memory_of_nothing_is_refused(encoder: CountingEncoder, bounds: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Embedder(encoder, **bounds)  # type: ignore[arg-type]


def test_memory_stays_within_its_bounds(encoder: CountingEncoder) -> None:
    embedder = Embedder(encoder, max_items=10, max_texts=5)
    for start in range(0, 200, 20):
        embedder.update([(str(i), item(f"title {i}")) for i in range(start, start + 20)])
    assert len(embedder._items) == 10
    assert len(embedder._vectors) == 5


def test_a_failed_batch_is_not_taken_for_done(embedder: Embedder, encoder: CountingEncoder) -> None:
    encoder.fail = True
    with pytest.raises(RuntimeError):
        embedder.update([("a", item())])
    encoder.fail = False
    assert len(embedder.update([("a", item())])) == 1


def test_what_could_not_be_sent_is_made_again(embedder: Embedder, encoder: CountingEncoder) -> None:
    first = embedder.update([("a", item())])
    embedder.forget(["a", "never seen"])
    assert embedder.update([("a", item())]) == first
    assert encoder.asked == ["Red shoes"]


def test_a_restarted_embedder_remembers_what_was_sent(encoder: CountingEncoder) -> None:
    sent = Embedder(encoder).update([("a", item()), ("b", item("B"))])
    again = Embedder(encoder)
    for item_id, message in [*sent, ("gone", None)]:
        again.remember(item_id, message)
    encoder.asked.clear()
    assert again.update([("a", item()), ("b", item("B")), ("gone", None)]) == []
    assert encoder.asked == []


def test_an_old_message_that_is_read_back_late_does_not_bring_the_old_text_back(encoder: CountingEncoder) -> None:
    embedder = Embedder(encoder)
    [(_, old)] = embedder.update([("a", item(ts=1))])
    embedder.update([("a", item("Blue shoes", ts=5))])
    embedder.remember("a", old)
    assert embedder.update([("a", item("Green shoes", ts=3))]) == []


def test_vectors_of_another_model_are_made_again(encoder: CountingEncoder) -> None:
    other = Embedder(HashingEncoder(dim=8)).update([("a", item())])
    embedder = Embedder(encoder)
    embedder.remember(*other[0])
    [(_, message)] = embedder.update([("a", item())])
    assert message is not None
    assert message.model_digest == encoder.digest
