"""The embedder and pictures: none changes nothing, one moves the vector, and an unchanged one is not embedded twice."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from streamrec.embedding import Embedder, HashingEncoder, content_digest, item_text, unpack_vectors
from streamrec.events import CatalogItem, ItemVector
from streamrec.pictures.album import Album, Seen
from streamrec.pictures.decoding import digest_of
from streamrec.pictures.gallery import Gallery
from tests.picture_server import jpeg
from tests.unit.pictures.eyes import ColourEye, projection

TS = 1_767_225_600_000
URL = "https://example.org/a.jpg"
ENCODER = HashingEncoder(dim=16)


def item(title: str = "Red shoes", ts: int = TS, **fields: str) -> CatalogItem:
    return CatalogItem(title=title, ts=ts, **fields)  # type: ignore[arg-type]


class Shop:
    """An embedder with an album that pictures are put into by hand."""

    def __init__(self, folder: Path, *, weight: float = 0.4, space: str = ENCODER.digest) -> None:
        self.album = Album(folder, eye=ColourEye.digest)
        self.gallery = Gallery(self.album, [projection(space=space)], weight=weight)
        self.embedder = Embedder(HashingEncoder(dim=16), pictures=self.gallery)

    def shows(self, content: bytes, url: str = URL) -> None:
        """Have a picture come."""
        eye = ColourEye()
        self.album.keep(digest_of(content), eye.see([eye.look(content)])[0])
        self.album.note(url, Seen(TS, digest_of(content)))

    def update(self, *items: CatalogItem | None) -> list[ItemVector | None]:
        return [message for _, message in self.embedder.update([("a", one) for one in items])]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize(
    "fields", [{}, {"image_url": URL}, {"image": "no base64!"}, {"image": base64.b64encode(b"<html>").decode()}]
)
def test_no_picture_or_a_bad_one_changes_no_bit(shop: Shop, fields: dict[str, str]) -> None:
    plain = Embedder(HashingEncoder(dim=16)).update([("a", item())])
    assert shop.embedder.update([("a", item(**fields))]) == plain  # type: ignore[arg-type]
    [(_, message)] = plain
    assert message is not None
    assert message.content_digest == content_digest(item_text(item()), ENCODER.digest)


def test_a_picture_moves_the_vector_once(shop: Shop) -> None:
    [plain] = shop.update(item(image_url=URL))
    shop.shows(jpeg())
    [moved] = shop.update(item(image_url=URL))
    assert plain is not None
    assert moved is not None
    assert moved.content_digest != plain.content_digest
    assert (moved.model_digest, moved.dim, moved.ts) == (plain.model_digest, plain.dim, plain.ts)
    rows = unpack_vectors([plain, moved])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-2)
    assert 0.5 < rows[0] @ rows[1] < 0.999
    picture = shop.gallery.of(item(image_url=URL), ENCODER.digest)
    assert picture is not None
    assert rows[1] @ picture.vector > rows[0] @ picture.vector
    assert shop.update(item(image_url=URL)) == []
    assert shop.update(item(ts=TS + 1, image_url=URL)) == []


def test_the_same_content_elsewhere_is_the_same_picture(shop: Shop) -> None:
    shop.shows(jpeg())
    shop.update(item(image_url=URL))
    shop.shows(jpeg(), "https://cdn.example.org/b.jpg")
    assert shop.update(item(ts=TS + 1, image_url="https://cdn.example.org/b.jpg")) == []
    assert shop.update(item(ts=TS + 2, image=base64.b64encode(jpeg()).decode())) == []


def test_other_content_embeds_again_and_none_at_all_brings_the_text_back(shop: Shop) -> None:
    [plain] = shop.update(item())
    shop.shows(jpeg())
    [red] = shop.update(item(image_url=URL))
    shop.shows(jpeg((0, 0, 255)))
    [blue] = shop.update(item(image_url=URL))
    shop.album.note(URL, Seen(TS, "", "missing"))
    [none] = shop.update(item(image_url=URL))
    assert none == plain
    assert len({one.vector for one in (plain, red, blue) if one}) == 3


def test_a_new_title_with_a_known_picture_is_embedded_with_it_at_once(shop: Shop) -> None:
    shop.shows(jpeg())
    [first] = shop.update(item(image_url=URL))
    [second] = shop.update(item("Blue hat", TS + 1, image_url=URL))
    plain = Embedder(HashingEncoder(dim=16)).update([("a", item("Blue hat", TS + 1))])[0][1]
    assert first is not None
    assert second is not None
    assert plain is not None
    assert second.vector != plain.vector


def test_an_inline_picture_wins_over_the_address(shop: Shop) -> None:
    shop.shows(jpeg())
    shop.shows(jpeg((0, 0, 255)), "https://example.org/blue.jpg")
    inline = base64.b64encode(jpeg((0, 0, 255))).decode()
    one = shop.gallery.of(item(image=inline, image_url=URL), ENCODER.digest)
    other = shop.gallery.of(item(image_url="https://example.org/blue.jpg"), ENCODER.digest)
    assert one is not None
    assert other is not None
    assert one.mark == other.mark


def test_pictures_do_not_move_vectors_of_a_model_that_they_were_not_fitted_to(tmp_path: Path) -> None:
    shop = Shop(tmp_path, space="another model")
    shop.shows(jpeg())
    assert shop.embedder.update([("a", item(image_url=URL))]) == Embedder(HashingEncoder(dim=16)).update([("a", item())])


def test_each_model_has_its_own_projection(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.shows(jpeg())
    both = Gallery(shop.album, [projection(space="one"), projection(8, space="two")], weight=0.4)
    found = [both.of(item(image_url=URL), space) for space in ("one", "two", "three")]
    assert [None if picture is None else picture.vector.shape for picture in found] == [(16,), (8,), None]


def test_another_weight_or_projection_counts_as_another_picture(tmp_path: Path) -> None:
    one, other = Shop(tmp_path), Shop(tmp_path, weight=0.5)
    one.shows(jpeg())
    sent = one.embedder.update([("a", item(image_url=URL))])
    for item_id, message in sent:
        other.embedder.remember(item_id, message)
    assert len(other.update(item(image_url=URL))) == 1
    assert one.gallery.digest != other.gallery.digest
    turned = Gallery(one.album, [projection(space=ENCODER.digest, seed=2)], weight=0.4)
    assert turned.digest != one.gallery.digest


def test_a_restarted_embedder_does_not_embed_an_unchanged_picture_again(tmp_path: Path) -> None:
    first = Shop(tmp_path)
    first.shows(jpeg())
    sent = first.embedder.update([("a", item(image_url=URL))])
    again = Shop(tmp_path)
    for item_id, message in sent:
        again.embedder.remember(item_id, message)
    assert again.update(item(image_url=URL)) == []


def test_vectors_in_memory_are_bounded_and_those_on_disk_answer_all_the_same(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    gallery = Gallery(shop.album, [projection(space=ENCODER.digest)], weight=0.4, max_vectors=3)
    for number in range(10):
        shop.shows(jpeg((number * 20, 0, 0)), f"https://example.org/{number}")
    found = [gallery.of(item(image_url=f"https://example.org/{number}"), ENCODER.digest) for number in (*range(10), 0)]
    assert all(found)
    assert len(gallery._vectors) == 3


def test_a_message_may_be_applied_again_unless_it_is_older_or_its_item_is_gone(shop: Shop) -> None:
    assert shop.embedder.stands("a", item())
    shop.update(item())
    assert shop.embedder.stands("a", item())
    assert shop.embedder.stands("a", item(ts=TS + 1))
    shop.update(item(ts=TS + 2))
    assert not shop.embedder.stands("a", item())
    shop.update(None)
    assert not shop.embedder.stands("a", item(ts=TS + 3))
