"""``streamrec bench``: what this machine holds."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from streamrec.cli.bench_embed import embed
from streamrec.cli.bench_freshness import freshness
from streamrec.cli.bench_rollover import rollover
from streamrec.cli.output import emit, json_option, table


@click.group()
def bench() -> None:
    """Measure a part on this machine."""


def _bench(name: str, text: str) -> None:
    @bench.command(name, help=text)
    @json_option
    def measure(as_json: bool) -> None:
        result: dict[str, Any] = import_module(f"streamrec.bench.{name}").run()
        if as_json:
            emit(result)
        else:
            table(["measure", "value"], list(_flat(result)))


def _flat(values: dict[str, Any], prefix: str = "") -> list[list[Any]]:
    rows: list[list[Any]] = []
    for name, value in values.items():
        rows += _flat(value, f"{prefix}{name} ") if isinstance(value, dict) else [[prefix + name, value]]
    return rows


_bench("lists", "Lists and profiles written and read per second; needs nothing running.")
_bench("rank", "Milliseconds to rank one visitor by batch size, and microseconds of the work around it.")


@bench.command("index")
@click.option("--items", type=click.IntRange(200), default=20_000, show_default=True, help="Items in each index.")
@click.option("--queries", type=click.IntRange(10), default=500, show_default=True, help="Queries of each measurement.")
@click.option("--cycles", type=click.IntRange(0), default=10, show_default=True, help="Rounds of changes; 0: none.")
@click.option("--tier-items", type=click.IntRange(0), default=0, show_default=True, help="Items of the compact index; 0: left out.")
@click.option("--exact", multiple=True, type=click.IntRange(100), help="Compare exact search with the graph at so many items.")
@click.option("--peer", "peers", multiple=True, default=("hnswlib", "usearch", "faiss"), help="May be repeated; default: all.")
@click.option("--no-peers", is_flag=True, help="Measure our index alone.")
@click.option(
    "--titles", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Default: ../shared/data, where it is."
)
@click.option("--seed", type=int, default=7, show_default=True)
@json_option
def index(as_json: bool, no_peers: bool, peers: tuple[str, ...], **choices: Any) -> None:
    """Recall, latency and memory of the vector index: fresh, while items change, filtered and compact, beside other engines."""
    from streamrec.bench.index import run

    result = run(**choices, peers=() if no_peers else peers, say=lambda what: click.echo(what, err=True))
    if as_json:
        emit(result)
        return
    from streamrec.cli.bench_index import show

    show(result)


@bench.command("transport")
@click.option("--broker", type=click.Choice(["apache", "embedded"]), help="Default: Apache Kafka where Java and Maven are.")
@click.option("--data", type=click.Path(path_type=Path), help="A data set with clicks; default: The Complete Journey's baskets.")
@click.option("--messages", type=click.IntRange(1), default=1_000_000, show_default=True, help="Clicks in the topic.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each engine; they take turns.")
@click.option("--latencies", type=click.IntRange(0), default=1000, show_default=True, help="Clicks of the latency run; 0: none.")
@click.option("--engine", "engines", multiple=True, help="Only this one; may be repeated.")
@click.option("--peers-python", type=click.Path(path_type=Path), help="The interpreter of `make bench-peers`.")
@json_option
def transport(as_json: bool, **choices: Any) -> None:
    """Events per second from Kafka to a handler, beside Quix Streams, Bytewax, stock Faust and raw consume."""
    from streamrec.bench.transport.compare import run

    result = run(**choices, say=lambda what: click.echo(what, err=True))
    if as_json:
        emit(result)
        return
    names = list(result["rates"])
    columns = ["engine", "events/s", "lowest", "highest", "ours is ×", "CPU µs", "MiB", "messages"]
    table(columns, [_row(result, name) for name in names])
    p50, p99 = result["p50_ms_at_100"], result["p99_ms_at_100"]
    click.echo(f"{result['data']} on {result['broker']}, {result['cores']} cores; at 100 events/s p50 {p50} ms, p99 {p99} ms")
    for name, why in result["missing"].items():
        click.echo(f"{name}: {why}")


def _row(result: dict[str, Any], name: str) -> list[Any]:
    lowest, highest = result["spread"].get(name, ["-", "-"])
    ratio = result["ratios"].get(f"to_{name}")
    measured = [result[measure].get(name) for measure in ("cpu_us", "rss_mb", "messages")]
    return [name, *("-" if value is None else value for value in [result["rates"][name], lowest, highest, ratio, *measured])]


@bench.command("rivals")
@click.option("--items", type=click.IntRange(101), default=100_000, show_default=True, help="Items of the catalogue.")
@click.option("--users", type=click.IntRange(2), default=100_000, show_default=True, help="Visitors; each has a list of 50.")
@click.option("--holders", type=click.IntRange(1), help="Lists that hold the item of the flash sale; default: half of them.")
@click.option("--reads", type=click.IntRange(100), default=5_000, show_default=True, help="Reads per measure.")
@click.option(
    "--flips", "flips_per_s", type=click.FloatRange(1), default=2_000, show_default=True, help="Stock changes per second."
)
@click.option("--design", "designs", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--titles", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Default: ../shared/data, where it is."
)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table in Markdown, for documents.")
@json_option
def rivals(as_json: bool, as_markdown: bool, designs: tuple[str, ...], **choices: Any) -> None:
    """Guarded lists beside vector search with a stock filter, and beside one update per list: reads, sold-out, memory."""
    from streamrec.bench.freshness.rivals import columns, markdown, rows, run

    result = run(**choices, designs=designs, say=lambda what: click.echo(what, err=True))
    if as_json:
        emit(result)
        return
    if as_markdown:
        click.echo(markdown(result))
        return
    table(columns(result), rows(result))
    for note in (*result["notes"], *(f"{name}: {why}" for name, why in result["missing"].items())):
        click.echo(note)


bench.add_command(embed)
bench.add_command(freshness)
bench.add_command(rollover)
