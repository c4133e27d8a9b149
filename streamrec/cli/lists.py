"""``streamrec top|together|trending|new``: what a storefront reads, for the eye or for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from streamrec.cli.output import emit, json_option, table, when
from streamrec.cli.parts import Parts, pass_parts

if TYPE_CHECKING:
    from streamrec.client import Answer

n_option = click.option("-n", "n", type=click.IntRange(1, 200), default=10, show_default=True, help="How many items.")


@click.command()
@click.argument("user_id", metavar="USER")
@n_option
@click.option("--placement", default="home", show_default=True, help="Whose list: home, cart, detail page …")
@json_option
@pass_parts
def top(parts: Parts, user_id: str, n: int, placement: str, as_json: bool) -> None:
    """Read a visitor's list.

    Sold-out items are left out; a visitor without a list gets what is trending.
    """
    print_answer(parts, parts.storefront.top(user_id, n, placement), as_json)


@click.command()
@click.argument("item_id", metavar="ITEM")
@n_option
@json_option
@pass_parts
def together(parts: Parts, item_id: str, n: int, as_json: bool) -> None:
    """Read what is bought together with an item."""
    print_answer(parts, parts.storefront.together(item_id, n), as_json)


@click.command()
@click.argument("category", default="all")
@n_option
@json_option
@pass_parts
def trending(parts: Parts, category: str, n: int, as_json: bool) -> None:
    """Read what is popular now, in a category or everywhere."""
    print_answer(parts, parts.storefront.trending(category, n), as_json)


@click.command()
@click.argument("category", default="all")
@n_option
@json_option
@pass_parts
def new(parts: Parts, category: str, n: int, as_json: bool) -> None:
    """Read what came in last, in a category or everywhere."""
    print_answer(parts, parts.storefront.new(category, n), as_json)


def print_answer(parts: Parts, answer: Answer, as_json: bool) -> None:
    """Print a list for the eye or for a program."""
    if as_json:
        import msgspec

        emit(msgspec.to_builtins(answer))
        return
    if not answer.items:
        click.echo(
            "nothing: no list stands under that name and no fallback list either; `streamrec doctor` tells whether workers run"
        )
        return
    facts = _facts(parts, [item.id for item in answer.items])
    rows = [
        [place, item.id, *fact, item.score, item.why] for place, (item, fact) in enumerate(zip(answer.items, facts, strict=True), 1)
    ]
    table(["#", "item", "title", "price", "score", "why"], rows)
    made = f", made {when(answer.made_at)} UTC" if answer.made_at else ""
    click.echo(f"from {answer.source}{made}")


def _facts(parts: Parts, item_ids: list[str]) -> list[list[Any]]:
    """Return title and price of each item, as the storefront shows them."""
    from streamrec.lists import keys
    from streamrec.lists.redis_errors import translated

    with translated("reading item facts"), parts.redis.pipeline(transaction=False) as pipe:
        for item_id in item_ids:
            pipe.hmget(keys.item(item_id), ["title", "price"])
        return [[value.decode(errors="replace") if value else "" for value in values] for values in pipe.execute()]
