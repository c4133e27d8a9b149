"""The library that draws plots; an extra, because workers draw none."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from streamrec.errors import ConfigError


def pyplot(option: str) -> Any:
    """Return ``matplotlib.pyplot``, set to draw SVG without a screen.

    Raises ConfigError that names the ``option`` to leave out where matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra: only plots need it
    except ImportError as error:
        msg = f"plots need matplotlib; pip install 'streamrec[bench]', or leave {option} out"
        raise ConfigError(msg) from error
    mpl.use("svg")
    return import_module("matplotlib.pyplot")
