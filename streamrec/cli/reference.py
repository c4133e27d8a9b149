"""``streamrec config`` and ``streamrec schemas``: what is in force, and the contracts that the code stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from streamrec.cli.output import emit, json_option, table
from streamrec.cli.parts import Parts, pass_parts


@click.command()
@click.option("--reference", is_flag=True, help="Print every setting with its values and its default instead (Markdown).")
@json_option
@pass_parts
def config(parts: Parts, reference: bool, as_json: bool) -> None:
    """Show the settings in force, with secrets masked."""
    if reference:
        from streamrec import config_reference

        click.echo(config_reference.render(), nl=False)
        return
    shown = masked(parts)
    if as_json:
        emit(shown)
    else:
        table(["setting", "value"], [[name, json.dumps(value, ensure_ascii=False)] for name, value in _flat(shown)])


def masked(parts: Parts) -> dict[str, Any]:
    """Return the settings as plain values; of an address only its credentials are masked, other secrets entirely."""
    from streamrec.redaction import Redact

    settings = parts.settings
    mask = Redact(settings.secrets())
    shown: dict[str, Any] = mask.value(settings.model_dump(mode="json"))
    shown["redis"]["url"] = mask.text(settings.redis.url.get_secret_value())
    return shown


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else [(prefix + name, value)]
    return rows


@click.command()
@click.argument("topic", required=False)
@click.option("--write", "target", type=click.Path(file_okay=False, path_type=Path), help="Write all contracts into this folder.")
@click.option(
    "--check", "checked", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Compare a folder with the code."
)
def schemas(topic: str | None, target: Path | None, checked: Path | None) -> None:
    """Print the contracts: AsyncAPI and JSON Schemas.

    The AsyncAPI document, or one TOPIC's JSON Schema; --write and --check are about the folder of all contracts.
    """
    from streamrec import config_reference
    from streamrec.events import schemas as contracts

    files = {**contracts.render(), config_reference.FILE_NAME: config_reference.render()}
    if target is not None:
        contracts.write(target, files)
        click.echo(f"wrote {len(files)} files into {target}")
    elif checked is not None:
        different = contracts.drift(checked, files)
        if different:
            click.echo(f"different: {', '.join(different)}; run `streamrec schemas --write {checked}`", err=True)
            raise click.exceptions.Exit(1)
    else:
        name = f"{topic}.schema.json" if topic else "asyncapi.json"
        if name not in files:
            known = ", ".join(sorted(file.removesuffix(".schema.json") for file in files if file.endswith(".schema.json")))
            raise click.BadParameter(f"{topic!r} has no schema; one of {known}", param_hint="TOPIC")
        click.echo(files[name], nl=False)
