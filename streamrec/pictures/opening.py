"""Puts the parts of pictures together, as the settings say."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

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


class Pictures(NamedTuple):
    """What the embedder looks at, and where items wait for it."""

    gallery: Gallery
    desk: Desk


def cache_folder(settings: Settings) -> Path:
    """Return where features are kept."""
    return settings.pictures.cache_dir or settings.model.cache_dir / "pictures"


def open_pictures(settings: Settings, text_digest: str, *, clock: Clock, observer: Observer | None = None) -> Pictures | None:
    """Return the parts for the text encoder of ``text_digest``; None where pictures are off. ``desk.start`` begins to fetch.

    Raises ModelError where a file is missing, does not load, or does not belong to the encoders that are configured.
    """
    chosen = settings.pictures
    if not chosen.model or chosen.projection_path is None:
        return None
    pillow()
    from streamrec.pictures.fetching import Fetcher  # noqa: PLC0415 - 0.2 s and 20 MB that only pictures need

    eye = load_eye(chosen, settings.model.cache_dir)
    projection = load_projection(chosen.projection_path, eye.digest, text_digest)
    album = Album(cache_folder(settings), eye=eye.digest, max_pictures=chosen.max_cached)
    gallery = Gallery(album, projection, weight=chosen.weight)
    return Pictures(gallery, Desk(album, eye, chosen, clock=clock, fetcher=lambda: Fetcher(chosen), observer=observer))


def load_projection(path: Path, eye: str, space: str) -> Projection:
    """Return the projection in ``path``; raises ModelError unless it was fitted for these two encoders."""
    projection = Projection.load(path)
    fitted = {"the image encoder": (projection.eye, eye), "the text encoder": (projection.space, space)}
    wrong = [f"{what} {was}, configured is {now}" for what, (was, now) in fitted.items() if was != now]
    if wrong:
        msg = f"{path} was fitted for {' and '.join(wrong)}; fit it again with `streamrec pictures fit`, or correct the settings"
        raise ModelError(msg)
    return projection
