"""Writes a file of the model cache at once and whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

from streamrec.errors import ModelError


def write(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path`` and rename it, so that several processes may do so at once and nobody reads half a file.

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
        raise cannot_write(path.parent, error) from error


def cannot_write(folder: Path, error: OSError) -> ModelError:
    """Return what is raised where the cache cannot be written."""
    return ModelError(f"the model cache {folder} cannot be written ({error}); set STREAMREC_MODEL__CACHE_DIR to a folder that can")
