"""Files that are written once into the model cache and read from then on."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from streamrec.errors import ModelError

Precision = Literal["float32", "float16", "int8"]


def package_file(module: str, path: str) -> Path | None:
    """Return a file of an installed package, which is not imported; None where it is not there."""
    spec = find_spec(module)
    file = Path(spec.origin).parent / path if spec is not None and spec.origin is not None else None
    return file if file is not None and file.is_file() else None


def source_digest(version: str, *paths: Path) -> str:
    """Return 12 hex characters that change with the builder's ``version`` and with the content of the files."""
    digest = hashlib.sha256(version.encode())
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def write(path: Path, content: bytes) -> None:
    """Write a file at once and whole: several processes may do this at the same time, each writes one of its own and renames it.

    Raises ModelError when the folder cannot be written.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            temporary = file.name
            file.write(content)
        Path(temporary).chmod(0o644)  # a container may build as one user and run as another
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        msg = f"the model cache {path.parent} cannot be written ({error}); set STREAMREC_MODEL__CACHE_DIR to a folder that can"
        raise ModelError(msg) from error
