"""What an item's text holds."""

from __future__ import annotations

from streamrec.embedding import content_digest, item_text
from streamrec.embedding.text import MAX_CHARS
from streamrec.events import CatalogItem

TS = 1_767_225_600_000


def item(**fields: object) -> CatalogItem:
    return CatalogItem(**({"title": "Runner 5", "ts": TS} | fields))  # type: ignore[arg-type]


def test_title_brand_category_attributes_and_description_come_in_this_order() -> None:
    full = item(brand="Acme", category="Shoes", attributes={"size": "42", "color": "red"}, description="Light and fast.")
    assert item_text(full) == "Runner 5 Acme Shoes red 42 Light and fast."


def test_a_part_that_was_said_is_not_said_again() -> None:
    assert item_text(item(title="ACME shoes Runner", brand="Acme", category="shoes", description="")) == "ACME shoes Runner"


def test_part_of_a_word_is_not_the_word() -> None:
    assert item_text(item(title="Smart watch", brand="Art")) == "Smart watch Art"


def test_the_order_of_attributes_does_not_count() -> None:
    assert item_text(item(attributes={"a": "1x", "b": "2x"})) == item_text(item(attributes={"b": "2x", "a": "1x"}))


def test_attributes_that_would_drown_the_title_are_left_out_whole() -> None:
    many = {f"a{number}": f"value{number} " + "x" * 30 for number in range(9)}
    text = item_text(item(attributes={**many, "b": "tiny"}, description="The end."))
    assert text == f"Runner 5 value0 {'x' * 30} value1 {'x' * 30} tiny The end."


def test_seller_and_article_numbers_say_nothing_about_the_item() -> None:
    assert item_text(item(attributes={"seller": "Shop 1", "SKU": "123"})) == "Runner 5"


def test_white_space_is_one_space() -> None:
    assert item_text(item(title="  Runner\n\t5 ")) == "Runner 5"


def test_the_text_is_bounded() -> None:
    text = item_text(item(description="word " * 20_000))
    assert len(text) <= MAX_CHARS
    assert text == item_text(item(description="word " * 15_000))


def test_the_digest_changes_with_the_text_and_with_the_model() -> None:
    digests = {content_digest(text, model) for text in ("a", "b", "\ud800") for model in ("m", "n")}
    assert len(digests) == 6
    assert all(len(digest) == 32 for digest in digests)
