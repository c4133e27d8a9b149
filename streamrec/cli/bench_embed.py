"""``streamrec bench embed``: texts per second of the encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streamrec.cli.output import emit, json_option, progress, steps_of, table


@click.command("embed")
@click.option("--texts", type=click.IntRange(32), default=2000, show_default=True, help="Distinct texts, evenly of every source.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds in which all take turns.")
@click.option("--singles", type=click.IntRange(1), default=200, show_default=True, help="Texts that are embedded one by one.")
@click.option("--batch", type=click.IntRange(1), default=256, show_default=True, help="Texts of a full batch.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads of each encoder; default: one per core.")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Default: ../shared/data, where it is.")
@click.option("--gpu", is_flag=True, help="Measure what share of a GPU is used; the CPU where there is none.")
@click.option(
    "--peak-tflops",
    type=click.FloatRange(0),
    default=0.0,
    help="With --gpu: what the device can do in float16; default: 989.5, an H200.",
)
@json_option
def embed(as_json: bool, gpu: bool, peak_tflops: float, **choices: Any) -> None:
    """Texts embedded per second on real titles of several languages, beside the numpy package and the plain way."""
    from streamrec.bench.embed import Options, run, run_gpu

    with progress() as bar:
        if gpu:
            wanted = {"texts": choices["texts"], "data": choices["data"]}
            result = run_gpu(**wanted, peak_tflops=peak_tflops, progress=steps_of(bar))
        else:
            result = run(Options(**choices), progress=steps_of(bar))
    if as_json:
        emit(result)
        return
    if gpu:
        _show_gpu(result)
    else:
        _show(result)
    for note in result["notes"]:
        click.echo(note)


def _show(result: dict[str, Any]) -> None:
    of = ", ".join(f"{n} {name}" for name, n in result["sources"].items())
    rows = []
    for name, rate in result["rates"].items():
        late, cosine = result["latency_ms"][name], result["cosine"].get(name)
        agreement = [f"{cosine['min']:.4f}", f"{cosine['mean']:.4f}"] if cosine else ["-", "-"]
        spent = [late[kind] for kind in ("single_p50", "single_p99", "full_p50", "full_p99")]
        rows.append([name, rate, result["tokens_per_s"][name], result["cpu_rates"][name], *spent, *agreement])
    columns = ["encoder", "texts/s", "tokens/s", "texts/CPU-s", "alone p50 ms", "p99", "full p50 ms", "p99", "cosine min", "mean"]
    table(columns, rows, title=f"{result['texts']:,} texts ({of}), {result['threads']} threads, {result['cores']} cores")
    both = [[name, ratio, result["cpu_ratios"][name]] for name, ratio in result["ratios"].items()]
    table(["ratio", "by the clock", "by CPU time"], both)


def _show_gpu(result: dict[str, Any]) -> None:
    columns = list(next(iter(result["models"].values())))
    rows = [[name, *("-" if value in {None, ""} else value for value in one.values())] for name, one in result["models"].items()]
    table(["model", *columns], rows, title=f"{result['provider']}, {result['texts']:,} texts, peak {result['peak_tflops']} TFLOPS")
