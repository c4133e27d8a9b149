"""What is known of pictures, on disk: features by content, and per URL what it held when it was asked last."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import ConfigError
from streamrec.pictures.decoding import digest_of

_log: Final = logging.getLogger(__name__)

#: Other tables are another version: the file is begun anew.
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pictures (
    digest TEXT NOT NULL, eye TEXT NOT NULL, features BLOB NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (digest, eye)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pictures_by_use ON pictures (used);
CREATE TABLE IF NOT EXISTS urls (
    url BLOB PRIMARY KEY, digest TEXT NOT NULL, etag TEXT NOT NULL, modified TEXT NOT NULL, at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS urls_by_use ON urls (used);
"""
#: How many writes go by until it is looked whether too much is held.
_SWEEP_EVERY: Final = 256
_LOCKED_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a URL held at ``at_ms``: a picture of ``digest``, or none, for ``reason``. Both may be given: it held one before."""

    at_ms: int
    digest: str = ""
    reason: str = ""
    #: What the server wants to hear when it is asked whether the picture changed.
    etag: str = ""
    modified: str = ""


class Album:
    """Keeps ``max_pictures`` features and as many URLs, the latest used; several processes may share one folder.

    Losing it costs fetches and nothing else, so nothing is synced to the disk, and a file that is damaged is begun anew.
    Raises ConfigError where the folder cannot be written.
    """

    def __init__(self, folder: Path, *, eye: str, max_pictures: int = 500_000) -> None:
        self._path = folder.expanduser() / f"album-{_VERSION}.sqlite"
        self._eye = eye
        self._max = max_pictures
        self._lock = threading.Lock()
        self._writes = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            msg = f"the album of pictures {self._path} cannot be used ({error}); set STREAMREC_PICTURES__CACHE_DIR"
            raise ConfigError(msg) from error
        self._tick = self._last_use()

    def seen(self, url: str) -> Seen | None:
        """Return what the URL held when it was asked last; None if it never was, or that is forgotten."""
        row = None
        with self._using() as db:
            row = db.execute("SELECT at_ms, digest, reason, etag, modified FROM urls WHERE url = ?", (_key(url),)).fetchone()
        return Seen(*row) if row else None

    def note(self, url: str, seen: Seen) -> None:
        """Keep what the URL holds now."""
        with self._using() as db:
            row = (_key(url), seen.digest, seen.etag, seen.modified, seen.at_ms, seen.reason, self._next())
            db.execute("INSERT OR REPLACE INTO urls VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._bound(db)

    def features(self, digest: str) -> NDArray[np.float32] | None:
        """Return (features,) float32 of a picture's content, None where they are not held."""
        row = None
        with self._using() as db:
            row = db.execute("SELECT features FROM pictures WHERE digest = ? AND eye = ?", (digest, self._eye)).fetchone()
            if row is not None:
                db.execute("UPDATE pictures SET used = ? WHERE digest = ? AND eye = ?", (self._next(), digest, self._eye))
        return None if row is None else np.frombuffer(row[0], "<f2").astype(np.float32)

    def keep(self, digest: str, features: NDArray[np.float32]) -> None:
        """Keep a picture's features, in float16."""
        held = np.ascontiguousarray(np.clip(features, -65504, 65504), "<f2").tobytes()
        with self._using() as db:
            db.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", (digest, self._eye, held, self._next()))
            self._bound(db)

    def __len__(self) -> int:
        """Return how many pictures' features are held."""
        rows = [0]
        with self._using() as db:
            rows = db.execute("SELECT count(*) FROM pictures").fetchone()
        return int(rows[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """Give the connection; what the file cannot do now is as if it held nothing: an album must not stop texts."""
        with self._lock:
            try:
                yield self._db
            except sqlite3.DatabaseError as error:
                _log.warning("the album of pictures %s does not answer: %s", self._path, error)
                with suppress(sqlite3.Error, OSError):
                    self._db.close()
                    self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # "file is not a database", "malformed"
            for path in self._path.parent.glob(f"{self._path.name}*"):
                path.unlink(missing_ok=True)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_LOCKED_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=OFF")
            db.executescript(_SCHEMA)
            db.execute("SELECT count(*) FROM (SELECT 1 FROM urls LIMIT 1)").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _last_use(self) -> int:
        row: tuple[int | None, ...] = ()
        with self._using() as db:
            row = db.execute("SELECT max((SELECT max(used) FROM pictures), 0), max((SELECT max(used) FROM urls), 0)").fetchone()
        return max((value or 0 for value in row), default=0)

    def _next(self) -> int:
        self._tick += 1
        return self._tick

    def _bound(self, db: sqlite3.Connection) -> None:
        self._writes += 1
        if self._writes % _SWEEP_EVERY and self._writes != self._max + 1:
            return
        for table in ("pictures", "urls"):
            over = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] - self._max  # noqa: S608 - our own names
            if over > 0:
                old = f"SELECT used FROM {table} ORDER BY used LIMIT 1 OFFSET ?"  # noqa: S608 - as above
                db.execute(f"DELETE FROM {table} WHERE used < ({old})", (over,))  # noqa: S608 - as above


def _key(url: str) -> bytes:
    return bytes.fromhex(digest_of(url.encode("utf-8", "surrogatepass")))
