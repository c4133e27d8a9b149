"""Puts the parts of pictures together, as the settings say."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, NamedTuple

from streamrec.clock import Clock
from streamrec.config import Settings
from streamrec.errors import ModelError
from streamrec.observe import Observer
from streamrec.pictures.album import Album
from streamrec.pictures.decoding import pillow
from streamrec.pictures.desk import Desk
from streamrec.pictures.encoder import load_eye
from streamrec.pictures.gallery import Gallery
from streamrec.pictures.projection import Projection

_log: Final = logging.getLogger(__name__)
_HELP: Final = "fit them with `streamrec pictures fit` and name the file in STREAMREC_PICTURES__PROJECTIONS"


class Pictures(NamedTuple):
    """What the embedder looks at, and where items wait for it."""

    gallery: Gallery
    desk: Desk


def cache_folder(settings: Settings) -> Path:
    """Return where features are kept."""
    return settings.pictures.cache_dir or settings.model.cache_dir / "pictures"


def open_pictures(settings: Settings, text_digest: str, *, clock: Clock, observer: Observer | None = None) -> Pictures | None:
    """Return the parts for the text encoder of ``text_digest``; None where pictures are off. ``desk.start`` begins to fetch.

    Raises ModelError where a file is missing, does not load, or does not belong to the image encoder that is configured.
    """
    chosen = settings.pictures
    if not chosen.model:
        return None
    pillow()
    from streamrec.pictures.fetching import Fetcher  # noqa: PLC0415 - 0.2 s and 20 MB that only pictures need

    eye = load_eye(chosen, settings.model.cache_dir)
    projections = [load_projection(path, eye.digest) for path in chosen.projections]
    if text_digest not in {one.space for one in projections}:
        # No error: the model may be changed in flight, and changed back. Pictures are fetched all the same and kept for then.
        _log.warning("pictures move no vector of the text encoder %s; %s", text_digest, _HELP)
    album = Album(cache_folder(settings), eye=eye.digest, max_pictures=chosen.max_cached)
    gallery = Gallery(album, projections, weight=chosen.weight)
    return Pictures(gallery, Desk(album, eye, chosen, clock=clock, fetcher=lambda: Fetcher(chosen), observer=observer))


def load_projection(path: Path, eye: str) -> Projection:
    """Return the projection in ``path``; raises ModelError unless it was fitted for this image encoder."""
    projection = Projection.load(path)
    if projection.eye != eye:
        msg = f"{path} was fitted for the image encoder {projection.eye}, and {eye} is configured; {_HELP}"
        raise ModelError(msg)
    return projection
