"""Bytes to pixels: formats, orientation, transparency, and everything that is refused."""

from __future__ import annotations

import base64
import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from streamrec.pictures.decoding import decode, digest_of, format_of, from_base64
from streamrec.pictures.refusals import Refused
from tests.picture_server import bomb, encoded, jpeg

LIMIT = 1_000_000


@pytest.mark.parametrize(("kind", "near"), [("JPEG", 6), ("PNG", 0), ("GIF", 3), ("WEBP", 6)])
def test_each_format_gives_its_pixels_red_first(kind: str, near: int) -> None:
    content = encoded(kind, (200, 30, 90))
    assert format_of(content) == kind
    pixels = decode(content, 16, LIMIT)
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (200, 30, 90)).max() <= near


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "PCX"])
def test_no_other_decoder_is_ever_tried(kind: str) -> None:
    with pytest.raises(Refused, match="no format that is read"):
        decode(encoded(kind), 16, LIMIT)


def test_what_is_transparent_is_white() -> None:
    clear = encoded("PNG", (200, 0, 0, 0), mode="RGBA")
    assert decode(clear, 8, LIMIT).min() == 255
    half = encoded("PNG", (0, 0, 0, 128), mode="RGBA")
    assert np.abs(decode(half, 8, LIMIT).astype(int) - 127).max() <= 1


@pytest.mark.parametrize(("mode", "colour"), [("L", (90,)), ("CMYK", (0, 0, 0, 255)), ("1", (1,)), ("P", (3,)), ("I;16", (70,))])
def test_every_mode_becomes_three_channels(mode: str, colour: tuple[int, ...]) -> None:
    content = io.BytesIO()
    Image.new(mode, (20, 20), colour[0] if len(colour) == 1 else colour).save(content, "JPEG" if mode == "CMYK" else "PNG")
    assert decode(content.getvalue(), 8, LIMIT).shape == (8, 8, 3)


def test_a_turned_photo_is_turned_upright() -> None:
    photo = Image.new("RGB", (40, 20), "white")
    photo.paste((0, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show it: what was left is above
    content = io.BytesIO()
    photo.save(content, "JPEG", exif=exif)
    pixels = decode(content.getvalue(), 16, LIMIT)
    assert pixels[:5].max() < 60
    assert pixels[-5:].min() > 200


def test_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    assert decode(content.getvalue(), 8, LIMIT)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "broken"),
        (b"<html>", "broken"),
        (jpeg()[:200], "broken"),
        (jpeg(size=(300, 300))[:700], "broken"),
        (encoded("PNG")[:60], "broken"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "broken"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(40), "broken"),
        (bomb(), "too_many_pixels"),
        (bomb(2000, 2000), "too_many_pixels"),
        (encoded("PNG", size=(1001, 1000)), "too_many_pixels"),
    ],
)
def test_everything_else_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(content, 16, LIMIT)
    assert refused.value.reason == reason


@given(st.sampled_from([jpeg(), encoded("PNG"), encoded("GIF"), encoded("WEBP")]), st.data())
def test_damaged_bytes_end_in_pixels_or_in_a_refusal(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with suppress(Refused):
        assert decode(bytes(damaged[:cut]), 8, LIMIT).shape == (8, 8, 3)


def test_an_inline_picture_is_base64_with_or_without_what_browsers_put_before_it() -> None:
    text = base64.b64encode(jpeg()).decode()
    assert from_base64(text) == from_base64(f"data:image/jpeg;base64,{text}") == jpeg()
    for wrong in ("no base64!", "é", "AAA"):
        with pytest.raises(Refused, match="base64"):
            from_base64(wrong)


def test_the_digest_is_of_the_bytes() -> None:
    assert digest_of(jpeg()) == digest_of(jpeg()) != digest_of(jpeg((0, 0, 0)))
