"""``streamrec search`` and ``streamrec similar``: what is near to words or to an item, under rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import click

from streamrec.cli.lists import n_option, print_answer
from streamrec.cli.output import json_option
from streamrec.cli.parts import Parts, pass_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamrec.client import Answer


def rules(command: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that say what may be found."""
    for option in (
        click.option("--quantity-min", type=click.IntRange(1), help="At least so many are known to be left."),
        click.option("--price-max", type=click.FloatRange(0), help="Costs at most this."),
        click.option("--price-min", type=click.FloatRange(0), help="Costs at least this."),
        click.option("--seller", multiple=True, help="Sold by one of these; may be repeated, as the two before."),
        click.option("--brand", multiple=True, help="Of one of these brands."),
        click.option("--category", multiple=True, help="In one of these categories."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("query", metavar="QUERY")
@rules
@n_option
@json_option
@pass_parts
def search(parts: Parts, /, query: str, n: int, as_json: bool, **chosen: Any) -> None:
    """Search for words among the items that pass the rules.

    Asks a recommender that lives; what is sold out is never found.
    """
    print_answer(parts, _asked(parts, "/search", chosen, q=query, n=n), as_json)


@click.command()
@click.argument("item_id", metavar="ITEM")
@rules
@n_option
@json_option
@pass_parts
def similar(parts: Parts, /, item_id: str, n: int, as_json: bool, **chosen: Any) -> None:
    """Read an item's alternatives; under rules a recommender that lives is asked for them."""
    ruled = any(value is not None and value != () for value in chosen.values())
    path = f"/similar/{quote(item_id, safe='')}"
    answer = _asked(parts, path, chosen, n=n) if ruled else parts.storefront.similar(item_id, n)
    print_answer(parts, answer, as_json)


def _asked(parts: Parts, path: str, chosen: dict[str, Any], **more: Any) -> Answer:
    import msgspec

    from streamrec.cli.ask import ask_recommender
    from streamrec.client import Answer
    from streamrec.lists.packing import RankedList

    parameters = {name: value for name, value in (more | chosen).items() if value is not None}
    body = ask_recommender(parts, f"{path}?{urlencode(parameters, doseq=True)}", "nobody can search")
    found = msgspec.convert(body, RankedList)
    return Answer("recommender" if found.items else "none", found.made_at, found.variant, found.digest, found.items)
