"""Bytes from strangers to pixels: few formats, bounded sizes, and every failure a refusal."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import ModelError
from streamrec.pictures.refusals import Refused

if TYPE_CHECKING:
    from PIL import Image

#: First bytes → Pillow's name of the format. No other decoder is ever tried.
_MAGIC: Final = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"))
#: What servers call the formats.
TYPES: Final = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/pjpeg": "JPEG",
    "image/png": "PNG",
    "image/x-png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
}
#: Servers that do not know what they hold say this, or nothing; then the first bytes alone decide.
UNTYPED: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
#: Pillow's settings are the process's; who decodes sets and restores none, but one at a time keeps its warnings apart.
_one_at_a_time: Final = threading.Lock()


def format_of(content: bytes) -> str:
    """Return Pillow's name of the format that the first bytes are of; empty for none of ours.

    >>> format_of(b"GIF89a..."), format_of(b"<svg>")
    ('GIF', '')
    """
    for magic, name in _MAGIC:
        if content.startswith(magic):
            return name
    return "WEBP" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else ""


def digest_of(content: bytes) -> str:
    """Return 32 hex characters that change with the picture's bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def from_base64(text: str) -> bytes:
    """Return an inline picture's bytes; a ``data:image/…;base64,`` before it is left out. Raises Refused where it is no base64."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("base64", str(error)) from None


def decode(content: bytes, size: int, max_pixels: int) -> NDArray[np.uint8]:
    """Return (size, size, 3) uint8 pixels, red first; raises Refused for whatever is no such picture.

    The first frame counts. What is transparent becomes white, as shops show it; a turned photo is turned upright. The whole picture
    is scaled to the square, so that nothing of it is cut off. No more than the header is read of a picture with too many pixels.
    """
    image_module = pillow()
    name = format_of(content)
    if not name:
        raise Refused("broken", "the first bytes are of no format that is read")
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow's own limit, which is larger than ours, and of odd metadata
        try:
            with image_module.open(io.BytesIO(content), formats=(name,)) as image:
                width, height = image.size
                if width * height <= max_pixels:
                    return _pixels(image, size)
        except image_module.DecompressionBombError as error:
            raise Refused("too_many_pixels", str(error)) from None
        except Exception as error:  # noqa: BLE001 - decoders raise whatever hostile bytes lead them to, and none of it is our fault
            raise Refused("broken", f"{type(error).__name__}: {error}"[:200]) from None
    raise Refused("too_many_pixels", f"{width}x{height}")


def _pixels(image: Image.Image, size: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps  # noqa: PLC0415 - only where pictures are on

    if image.format == "JPEG":
        image.draft("RGB", (2 * size, 2 * size))  # decodes a large photo at a fraction of its size and time
    image.seek(0)
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in upright.info:
        shown = upright.convert("RGBA")
        ground = Image.new("RGBA", shown.size, "white")
        upright = Image.alpha_composite(ground, shown)
    scaled = upright.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(scaled, dtype=np.uint8)


def pillow() -> Any:
    """Return Pillow's Image module; raises ModelError where it is not installed."""
    try:
        from PIL import Image  # noqa: PLC0415 - only where pictures are on
    except ImportError as error:
        msg = "pictures need Pillow; run: pip install 'streamrec[pictures]'"
        raise ModelError(msg) from error
    return Image
