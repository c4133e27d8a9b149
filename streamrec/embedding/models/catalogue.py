"""Reads the declared models: those of the package, and the operator's own over them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import ValidationError

from streamrec.config import ModelSettings
from streamrec.embedding.models.entry import ModelEntry
from streamrec.errors import ConfigError

#: Names that are no entry: files by the settings alone, and the unit tests' encoder.
BESIDE: Final = ("onnx", "hashing")


def catalogue(settings: ModelSettings) -> dict[str, ModelEntry]:
    """Return all declared models by name, the package's first; of one that both declare the operator's fields win, one by one.

    Raises ConfigError that names the entry and the field.
    """
    declared: dict[str, Any] = {**_packaged()}
    for name, own in settings.own.items():
        declared[name] = _over(declared.get(name, {}), own)
    return {name: _entry(name, fields) for name, fields in declared.items()}


def entry_of(settings: ModelSettings) -> ModelEntry:
    """Return the declaration of ``settings.name``. Raises ConfigError with the names that there are."""
    declared = catalogue(settings)
    if settings.name not in declared:
        names = sorted({*declared, *BESIDE})
        near = get_close_matches(settings.name, names, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        msg = f"model.name is {settings.name!r}{hint}; it must be one of {', '.join(names)}, or be declared in [model.own]"
        raise ConfigError(msg)
    return declared[settings.name]


@cache
def _packaged() -> dict[str, Any]:
    return tomllib.loads(files("streamrec.embedding.models").joinpath("catalogue.toml").read_text(encoding="utf-8"))


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the fields of ``own`` in their place, tables merged.

    Another source replaces the base's, and another repository its files.


    >>> _over({"hub": {"revision": "", "graph": "a"}}, {"hub": {"revision": "1"}})
    {'hub': {'revision': '1', 'graph': 'a'}}
    """
    merged = dict(base)
    sources = {"package", "hub", "paths"}
    if given := sources & set(own):
        for source in sources - given:
            merged.pop(source, None)
    if "repository" in own:
        merged.pop("sha256", None)
    for name, value in own.items():
        held = merged.get(name)
        merged[name] = _over(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return merged


def _entry(name: str, fields: Mapping[str, Any]) -> ModelEntry:
    try:
        return ModelEntry.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("model.own", f'"{name}"', *first["loc"])))
        msg = f"{place}: {first['msg'].removeprefix('Value error, ')}; correct it in the settings"
        raise ConfigError(msg) from None
