"""What is known of pictures survives a restart, stays within its bound, and is never a reason to stop."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from streamrec.errors import ConfigError
from streamrec.pictures.album import Album, Seen

URL = "https://example.org/a.jpg"


def row(value: float) -> np.ndarray:
    return np.full(4, value, np.float32)


def test_what_was_seen_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Album(tmp_path, eye="e")
    first.note(URL, Seen(5, "d", "", '"tag"', "yesterday"))
    first.keep("d", row(0.5))
    first.close()
    again = Album(tmp_path, eye="e")
    assert again.seen(URL) == Seen(5, "d", "", '"tag"', "yesterday")
    np.testing.assert_array_equal(again.features("d"), row(0.5))
    assert again.seen("https://example.org/b.jpg") is None
    assert again.features("other") is None


def test_another_encoder_sees_everything_anew_and_knows_the_urls(tmp_path: Path) -> None:
    Album(tmp_path, eye="one").keep("d", row(1))
    two = Album(tmp_path, eye="two")
    two.keep("d", row(2))
    np.testing.assert_array_equal(two.features("d"), row(2))
    np.testing.assert_array_equal(Album(tmp_path, eye="one").features("d"), row(1))


def test_two_processes_may_share_a_folder(tmp_path: Path) -> None:
    one, two = Album(tmp_path, eye="e"), Album(tmp_path, eye="e")
    one.keep("d", row(1))
    assert two.features("d") is not None


def test_the_album_stays_within_its_bound_and_keeps_what_is_used(tmp_path: Path) -> None:
    album = Album(tmp_path, eye="e", max_pictures=100)
    album.keep("favourite", row(1))
    for number in range(2000):
        album.keep(str(number), row(number))
        album.note(f"https://example.org/{number}", Seen(number, str(number)))
        assert album.features("favourite") is not None
    assert len(album) <= 100 + 256
    assert album.features("0") is None
    assert album.seen("https://example.org/0") is None
    assert album.features("1999") is not None


def test_features_past_what_float16_holds_stay_finite(tmp_path: Path) -> None:
    album = Album(tmp_path, eye="e")
    album.keep("d", row(1e9))
    assert np.isfinite(album.features("d")).all()  # type: ignore[arg-type]


def test_a_file_that_is_no_album_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "album-1.sqlite").write_bytes(b"no database" * 1000)
    album = Album(tmp_path, eye="e")
    album.keep("d", row(1))
    assert album.features("d") is not None


def test_an_album_that_fails_holds_nothing_and_raises_nothing(tmp_path: Path) -> None:
    album = Album(tmp_path, eye="e")
    album.keep("d", row(1))
    with sqlite3.connect(tmp_path / "album-1.sqlite") as other:
        other.execute("DROP TABLE pictures")
        other.execute("DROP TABLE urls")
    other.close()
    assert album.seen(URL) is None
    assert album.features("d") is None
    album.note(URL, Seen(1, "d"))
    album.keep("d", row(1))
    assert album.features("d") is not None


def test_a_folder_that_cannot_be_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="STREAMREC_PICTURES__CACHE_DIR"):
        Album(tmp_path / "file", eye="e")
