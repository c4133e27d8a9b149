"""``streamrec why``: the reason for a slot, or for an item's absence, from a recommender that lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from streamrec.cli.output import emit, json_option, safe, table
from streamrec.cli.parts import Parts, pass_parts


@click.command()
@click.argument("user_id", metavar="USER")
@click.argument("item_id", metavar="ITEM")
@click.option("--placement", default="home", show_default=True, help="In which list: home, cart …")
@json_option
@pass_parts
def why(parts: Parts, user_id: str, item_id: str, placement: str, as_json: bool) -> None:
    """Tell why an item is in a visitor's list, or why not.

    Asks a recommender that lives; the reasons come from the real parts of the score.
    """
    explanation = ask(parts, user_id, item_id, placement)
    if as_json:
        emit(explanation)
        return
    for line in lines(user_id, item_id, explanation):
        click.echo(line)
    if explanation.get("parts"):
        table(["part of the score", "value"], sorted(explanation["parts"].items(), key=lambda part: -part[1]))


def ask(parts: Parts, user_id: str, item_id: str, placement: str = "home") -> dict[str, Any]:
    """Return a recommender's explanation. Raises StoreUnavailable when none answers."""
    from streamrec.cli.ask import ask_recommender

    where = "" if placement == "home" else f"?placement={quote(placement, safe='')}"
    return ask_recommender(parts, f"/why/{quote(user_id, safe='')}/{quote(item_id, safe='')}{where}", "nobody can tell why")


def lines(user_id: str, item_id: str, explanation: dict[str, Any]) -> Iterator[str]:
    """Yield the explanation in sentences."""
    user, item = safe(user_id, 128), safe(item_id, 128)
    if explanation.get("shown"):
        yield f"{item} is number {explanation.get('position')} in the list of {user}, score {explanation.get('score', 0):.4g}"
        yield f"because of {safe(explanation.get('why') or 'nothing in particular', 200)}"
    else:
        yield f"{item} is not in the list of {user}"
    if explanation.get("variant", "default") not in {"", "default"}:
        yield f"ranked as variant {safe(explanation['variant'], 200)}"
    if learnt := explanation.get("learnt"):
        told = ", ".join(f"{safe(part, 32)} × {factor:.3g}" for part, factor in sorted(learnt.items()))
        yield f"weights of parts as clicks taught them: {told}"
    for reason in explanation.get("reasons", ()):
        yield f"  {safe(reason, 300)}"
