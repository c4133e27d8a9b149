"""Fetches pinned files of a model hub: over https, from allowed hosts, resumable, bounded, checked, and renamed when whole."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import ipaddress
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote, urlsplit

from streamrec.embedding.models.entry import Hub
from streamrec.errors import ModelError

_BLOCK: Final = 1 << 20
#: Connections that may break one after the other without a byte in between.
_PATIENCE: Final = 4
_REDIRECTS: Final = 5

#: Hears what is fetched, how many bytes more there are of it, and of how many (0: nobody knows).
Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Limits:
    """Where files may come from and how large one may be."""

    url: str
    #: Patterns of hosts that the hub may send us to.
    hosts: Sequence[str]
    max_bytes: int
    timeout_s: float = 30.0

    def allow(self, url: str) -> None:
        """Raise ModelError unless ``url`` is https (or http on this machine) and of the hub or an allowed host."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(host)):
            msg = f"the hub at {self.url} leads to {parts.scheme}://{host}, which is not https; correct model.hub_url"
            raise ModelError(msg)
        home = urlsplit(self.url)
        here = host == home.hostname and (not _loopback(host) or parts.port == home.port)
        if not here and not any(fnmatch(host, pattern) for pattern in self.hosts):
            msg = (
                f"the hub at {self.url} leads to {host}, which model.hub_hosts does not allow; add it there if it is the hub's own"
            )
            raise ModelError(msg)


def place(cache_dir: Path, hub: Hub) -> Path:
    """Return the folder of the repository at its revision."""
    return cache_dir.expanduser() / "models" / "hub" / hub.repository.replace("/", "--") / hub.revision


def absent(cache_dir: Path, hub: Hub) -> list[str]:
    """Return the files that were not fetched yet; one that is there was checked before it got its name."""
    return [path for path in hub.sha256 if not (place(cache_dir, hub) / path).is_file()]


def fetch(cache_dir: Path, hub: Hub, limits: Limits, told: Told = lambda *_: None) -> None:
    """Fetch what is absent; what an earlier try left of a file is gone on with.

    Raises ModelError when something is not pinned, not allowed, too large, not what its checksum says, or cannot be had.
    """
    if unknown := hub.unknown():
        msg = f"{hub.repository} is not pinned: give {', '.join(unknown)} in its [model.own.NAME.hub] of the settings file"
        raise ModelError(msg)
    folder = place(cache_dir, hub)
    for path in absent(cache_dir, hub):
        url = f"{limits.url.rstrip('/')}/{quote(hub.repository)}/resolve/{hub.revision}/{quote(path)}"
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with _alone(folder / f"{path}.lock"):
                if not (folder / path).is_file():
                    _Fetch(url, folder / path, hub.sha256[path], limits, told).run()
        except OSError as error:
            msg = f"the model cache {folder} cannot be written ({error}); set STREAMREC_MODEL__CACHE_DIR to a folder that can"
            raise ModelError(msg) from error


def damaged(cache_dir: Path, hub: Hub) -> list[str]:
    """Return the files on disk whose bytes are no longer those of their checksum."""
    folder = place(cache_dir, hub)
    return [path for path, digest in hub.sha256.items() if (folder / path).is_file() and _sha256(folder / path) != digest]


class _Broken(Exception):  # noqa: N818 - the connection is, not the file
    """The connection ended before the file did."""


class _Fetch:
    def __init__(self, url: str, target: Path, sha256: str, limits: Limits, told: Told) -> None:
        self._url = url
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._sha256 = sha256
        self._limits = limits
        self._told = told

    def run(self) -> None:
        left = _PATIENCE
        self._told(self._target.name, self._held(), 0)
        while True:
            before = self._held()
            try:
                self._go_on(before)
                break
            except _Broken as error:
                left = _PATIENCE if self._held() > before else left - 1
                if not left:
                    msg = f"{self._url}: {error}; {self._held():,} bytes are kept, run the same command again to go on"
                    raise ModelError(msg) from error
        found = _sha256(self._part)
        if found != self._sha256:
            self._part.unlink()
            msg = f"{self._url} has the SHA-256 {found} and not {self._sha256}; it was thrown away: check revision and checksum"
            raise ModelError(msg)
        self._part.chmod(0o644)  # a container may build as one user and run as another
        self._part.replace(self._target)

    def _held(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _go_on(self, start: int) -> None:
        self._limits.allow(self._url)
        request = urllib.request.Request(self._url, headers={"User-Agent": "streamrec", "Accept-Encoding": "identity"})  # noqa: S310 - allowed above
        if start:
            request.add_header("Range", f"bytes={start}-")
        opener = urllib.request.build_opener(_Redirects(self._limits))
        try:
            with opener.open(request, timeout=self._limits.timeout_s) as answer:
                self._receive(answer, start)
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return  # everything is here; the checksum tells whether it is right
            if error.code >= http.client.INTERNAL_SERVER_ERROR:
                raise _Broken(f"the hub answered {error.code}") from error
            msg = f"{self._url}: the hub answered {error.code} ({error.reason}); check repository, revision and path"
            raise ModelError(msg) from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise _Broken(f"no answer, or half of one ({error})") from error

    def _receive(self, answer: Any, start: int) -> None:
        partial = answer.status == http.client.PARTIAL_CONTENT
        if partial and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
            msg = f"{self._url}: the hub sent another part than the one asked for; delete {self._part} and run it again"
            raise ModelError(msg)
        start = start if partial else 0
        length = answer.headers.get("Content-Length") or ""
        total = start + int(length) if length.isdigit() else 0
        self._bound(total)
        self._told(self._target.name, 0, total)
        with self._part.open("ab" if partial else "wb") as file:
            got = start + self._copy(answer, file, start)
        if total and got < total:
            raise _Broken(f"it ended after {got:,} of {total:,} bytes")

    def _copy(self, answer: Any, file: IO[bytes], start: int) -> int:
        got = 0
        while block := answer.read(_BLOCK):
            got += len(block)
            self._bound(start + got)
            file.write(block)
            self._told(self._target.name, len(block), 0)
        return got

    def _bound(self, size: int) -> None:
        if size > self._limits.max_bytes:
            self._part.unlink(missing_ok=True)
            most = f"model.hub_max_bytes is {self._limits.max_bytes:,}"
            msg = f"{self._url} has {size:,} bytes or more, {most}; raise it if that is right"
            raise ModelError(msg)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _REDIRECTS

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917 - its signature
        """Follow only where it is allowed to."""
        self._limits.allow(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process fetches the same file."""
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
