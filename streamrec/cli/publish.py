"""``streamrec publish``: be a merchant, a campaign manager or a visitor. Nothing is sent that a worker would refuse."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, Final

import click

from streamrec.cli.moments import Moment
from streamrec.cli.output import emit, json_option, safe
from streamrec.cli.parts import Parts, pass_parts

_ts = click.option(
    "--ts", type=Moment(), default="now", show_default=True, help="Event time: now, -30m, ms since the epoch or ISO 8601."
)
_event_id = click.option("--event-id", default="", help="Makes the event one of a kind; the same id twice counts once.")
_placement = click.option("--placement", default="", help="Where the visitor saw it.")
_variant = click.option("--variant", default="", help="Which variant of the lists the visitor saw.")

#: What a flag that was not given leaves behind; the structs' own defaults say the same.
_UNSAID: Final[tuple[Any, ...]] = (None, "", {}, ())


@click.group()
def publish() -> None:
    """Send events: one from flags, or many from JSON lines. Each is validated as workers do before it is sent."""


def _verb(name: str, *options: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a verb of ``publish`` with the options that all of them have."""

    def make(function: Callable[..., Any]) -> click.Command:
        for option in (pass_parts, json_option, _ts, *reversed(options)):
            function = option(function)
        return publish.command(name)(function)

    return make


def _send(parts: Parts, topic: str, key: str, fields: dict[str, Any] | None, as_json: bool) -> None:
    """Validate one message and send it. Raises InvalidMessage, BrokerUnavailable."""
    import msgspec

    from streamrec.events import decode

    value = None if fields is None else msgspec.json.encode({name: field for name, field in fields.items() if field not in _UNSAID})
    decode(topic, key.encode(errors="surrogateescape"), value, parts.clock.now_ms(), max_future_ms=parts.settings.max_future_ms)
    with parts.broker.outbox() as outbox:
        outbox.send(topic, key, value)
        outbox.flush()
    if as_json:
        emit({"topic": topic, "key": key, "value": None if value is None else msgspec.json.decode(value)})
    else:
        click.echo(f"sent to {topic}: {safe(key, 128)} {safe(value, 200)}")


def _pairs(values: Iterable[str], option: str) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if any(not sign for _, sign, _ in pairs):
        raise click.BadParameter("write NAME=VALUE", param_hint=option)
    return {name: value for name, _, value in pairs}


@_verb(
    "item",
    click.argument("item_id", metavar="ITEM"),
    click.option("--title", help="What it is called; needed unless --remove."),
    click.option("--description", default=""),
    click.option("--category", default=""),
    click.option("--brand", default=""),
    click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Any number; `seller` names who sells it."),
    click.option("--image-url", default=""),
    click.option("--image", type=click.File("rb"), help="A file: the picture itself, inside the message."),
    click.option("--price", type=float),
    click.option("--currency", default=""),
    click.option("--quantity", type=int),
    click.option("--remove", is_flag=True, help="Send a null value: the item leaves the catalogue."),
)
def item(
    parts: Parts, item_id: str, as_json: bool, remove: bool, attributes: Sequence[str], title: str | None, **fields: Any
) -> None:
    """Add, change or remove an item of the catalogue."""
    if not remove and not title:
        raise click.UsageError("--title is needed (or --remove)")
    image = fields.pop("image")
    fields["image"] = b64encode(image.read()).decode() if image else ""
    value = None if remove else {"title": title, "attributes": _pairs(attributes, "--attribute"), **fields}
    _send(parts, "items.catalog", item_id, value, as_json)


@_verb("stock", click.argument("item_id", metavar="ITEM"), click.argument("quantity", type=int))
def stock(parts: Parts, item_id: str, quantity: int, ts: int, as_json: bool) -> None:
    """Tell how many of an item are left; 0 is sold out."""
    _send(parts, "items.stock", item_id, {"quantity": quantity, "ts": ts}, as_json)


@_verb(
    "price",
    click.argument("item_id", metavar="ITEM"),
    click.argument("price", type=float),
    click.option("--list-price", type=float),
)
def price(parts: Parts, item_id: str, price: float, list_price: float | None, ts: int, as_json: bool) -> None:
    """Tell what an item costs now."""
    _send(parts, "items.price", item_id, {"price": price, "list_price": list_price, "ts": ts}, as_json)


@_verb(
    "campaign",
    click.argument("campaign_id", metavar="CAMPAIGN"),
    click.argument("action", type=click.Choice(["boost", "bury", "pin", "exclude"]), required=False),
    click.option("--item", "items", multiple=True, help="Any number of each: an item matches when one of them names it."),
    click.option("--category", "categories", multiple=True),
    click.option("--brand", "brands", multiple=True),
    click.option("--seller", "sellers", multiple=True),
    click.option("--factor", type=float, help="boost multiplies scores by it, bury divides; 2 unless given."),
    click.option("--slot", "slots", type=int, multiple=True, help="pin: the list positions to fill; 1 is the first."),
    click.option("--segment", type=click.Choice(["all", "new", "returning", "buyers"]), default="all", show_default=True),
    click.option("--starts", "starts_at", type=Moment(), default="now", show_default=True),
    click.option("--ends", "ends_at", type=Moment(), default="+1d", show_default=True),
    click.option("--cancel", is_flag=True, help="Send a null value: the campaign is over."),
)
def campaign(parts: Parts, campaign_id: str, action: str | None, as_json: bool, cancel: bool, **fields: Any) -> None:
    """Boost, bury, pin or exclude items for a time, or cancel that."""
    if not cancel and not action:
        raise click.UsageError("an action is needed: boost, bury, pin or exclude (or --cancel)")
    targets = {name: fields.pop(name) for name in ("items", "categories", "brands", "sellers")}
    value = None if cancel else {"action": action, "targets": targets, **fields}
    _send(parts, "promo.campaigns", campaign_id, value, as_json)


@_verb(
    "click", click.argument("user_id", metavar="USER"), click.argument("item_id", metavar="ITEM"), _placement, _variant, _event_id
)
def click_(parts: Parts, user_id: str, as_json: bool, **fields: Any) -> None:
    """A visitor opened an item."""
    _send(parts, "events.clicks", user_id, fields, as_json)


@_verb(
    "cart",
    click.argument("user_id", metavar="USER"),
    click.argument("item_id", metavar="ITEM"),
    click.option("--quantity", type=int, default=1, show_default=True),
    click.option("--remove", is_flag=True, help="The item was taken out of the cart."),
    _event_id,
)
def cart(parts: Parts, user_id: str, as_json: bool, remove: bool, **fields: Any) -> None:
    """A visitor put an item into the cart, or took it out."""
    _send(parts, "events.carts", user_id, {"op": "remove" if remove else "add", **fields}, as_json)


@_verb(
    "order",
    click.argument("user_id", metavar="USER"),
    click.argument("items", metavar="[ITEM]...", nargs=-1),
    click.option(
        "--line", "lines", type=(str, int, float), multiple=True, metavar="ITEM QUANTITY PRICE", help="A line with its numbers."
    ),
    _event_id,
)
def order(
    parts: Parts, user_id: str, items: Sequence[str], lines: Sequence[tuple[str, int, float]], as_json: bool, **fields: Any
) -> None:
    """A visitor bought items."""
    bought: list[dict[str, Any]] = [{"item_id": item_id} for item_id in items]
    bought += [{"item_id": item_id, "quantity": quantity, "price": price} for item_id, quantity, price in lines]
    if not bought:
        raise click.UsageError("an order needs at least one ITEM or --line")
    _send(parts, "events.orders", user_id, {"lines": bought, **fields}, as_json)


@_verb(
    "search",
    click.argument("user_id", metavar="USER"),
    click.argument("query"),
    click.option("--filter", "filters", multiple=True, metavar="NAME=VALUE"),
    _event_id,
)
def search(parts: Parts, user_id: str, filters: Sequence[str], as_json: bool, **fields: Any) -> None:
    """A visitor searched."""
    _send(parts, "events.searches", user_id, {"filters": _pairs(filters, "--filter"), **fields}, as_json)


@_verb(
    "impressions",
    click.argument("user_id", metavar="USER"),
    click.argument("item_ids", metavar="ITEM...", nargs=-1, required=True),
    _placement,
    _variant,
    _event_id,
)
def impressions(parts: Parts, user_id: str, as_json: bool, **fields: Any) -> None:
    """A visitor was shown items."""
    _send(parts, "events.impressions", user_id, fields, as_json)


@publish.command()
@click.argument("source", metavar="FILE", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Validate only; send nothing.")
@json_option
@pass_parts
def events(parts: Parts, source: IO[bytes], dry_run: bool, as_json: bool) -> None:
    """Send the JSON lines of FILE, or of stdin with -.

    A line is {"topic": "events.clicks", "key": "visitor-1", "value": {...}}; a value of null removes an item or cancels a campaign.
    Lines that a worker would refuse are reported with their number and are not sent; the exit code is then 1.
    """
    from streamrec.cli.publish_file import send_lines

    summary = send_lines(parts, source, dry_run=dry_run)
    if as_json:
        emit(summary)
    else:
        click.echo(f"{'valid' if dry_run else 'sent'}: {summary['sent']}, refused: {summary['refused']}")
    if summary["refused"]:
        raise click.exceptions.Exit(1)
