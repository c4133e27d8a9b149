"""The reference of every setting, written from the code, so that it cannot lag behind."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Final

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamrec.config import Settings

FILE_NAME: Final = "config.md"
_HEAD: Final = """# Settings

Written by `streamrec schemas --write schemas` from `streamrec/config.py`; a test fails when the two differ.

Each setting is an environment variable, or an entry of the TOML file that `STREAMREC_CONFIG` names; the environment wins.
`streamrec config` shows what is in force, with secrets masked.
"""
_SYMBOLS: Final = {
    annotated_types.Ge: ("≥", "ge"),
    annotated_types.Gt: (">", "gt"),
    annotated_types.Le: ("≤", "le"),
    annotated_types.Lt: ("<", "lt"),
}


def render() -> str:
    """Return the reference as Markdown: one table for each section."""
    return _HEAD + "".join(_table(title, text, rows) for title, text, rows in _sections())


def _sections() -> Iterator[tuple[str, str, list[str]]]:
    top = {name: field for name, field in Settings.model_fields.items() if not _is_section(field)}
    yield "general", "", [_row(f"STREAMREC_{name.upper()}", field) for name, field in top.items()]
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            section: type[BaseModel] = field.annotation  # type: ignore[assignment]  # _is_section has looked
            prefix = f"STREAMREC_{name.upper()}__"
            rows = [_row(prefix + inner.upper(), info) for inner, info in section.model_fields.items()]
            yield name, section.__doc__ or "", rows


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _table(title: str, text: str, rows: list[str]) -> str:
    head = f"\n## {title}\n" + (f"\n{cleandoc(text)}\n" if text else "")
    return head + "\n| variable | values | default | meaning |\n|---|---|---|---|\n" + "".join(rows)


def _row(variable: str, field: FieldInfo) -> str:
    cells = (f"`{variable}`", _values(field), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _values(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    name = annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    name = name.replace("typing.", "").replace("pathlib.", "").replace("streamrec.config.", "").replace("Literal", "one of ")
    limits = [
        f"{sign} {getattr(limit, attribute)}"
        for limit in field.metadata
        for sign, attribute in [_SYMBOLS.get(type(limit), ("", ""))]
        if sign
    ]
    return " ".join([name.replace("SecretStr", "str, secret"), ", ".join(limits)]).strip()


def _default(field: FieldInfo) -> str:
    if field.default_factory in (dict, list, tuple):
        return f"`{field.default_factory()}`"
    if field.default_factory is not None:
        return "found at start"
    value = field.default
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return f"`{value!r}`" if isinstance(value, str) and not value else f"`{value}`"
