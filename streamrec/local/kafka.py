"""A real Apache Kafka: one node in KRaft mode, from jars that Maven resolves. It needs a Java runtime and Maven."""

from __future__ import annotations

import base64
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Final, Self

from streamrec.errors import LocalStackError
from streamrec.local.broker import answers_kafka
from streamrec.local.child import Child
from streamrec.local.kafka_jars import java, kafka_jars
from streamrec.local.kafka_security import KafkaSecurity
from streamrec.local.ports import HOST, free_port, must_be_free
from streamrec.local.workspace import Workspace

# It lives for minutes: what the thorough compiler would gain later it takes at the start, two seconds of processor time of six.
_JVM: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_FETCH_WAIT_MS: Final = 250
_LOG_LEVEL: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class LocalKafka:
    """Apache Kafka on a loopback port, as a context manager.

    Unlike the embedded broker it keeps topics, records and offsets over ``kill`` and ``restart``; they go with ``stop``.
    With ``security`` clients must say who they are.
    """

    def __init__(self, *, port: int | None = None, log_path: Path | None = None, security: KafkaSecurity | None = None) -> None:
        self.port = port or 0
        self._security = security
        self._internal_port = 0
        self._log_path = log_path
        self._controller_port = 0
        self._workspace: Workspace | None = None
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for Kafka clients."""
        return f"{HOST}:{self.port}"

    @property
    def internal_bootstrap(self) -> str:
        """``host:port`` where nobody is asked: with ``security`` the administrator's own listener."""
        return f"{HOST}:{self._internal_port}" if self._security else self.bootstrap

    @property
    def pid(self) -> int | None:
        """The broker's process id, None when it does not run."""
        return self._child.pid if self._child else None

    def environment(self) -> dict[str, str]:
        """Return the settings that point streamrec at this broker."""
        # It answers a fetch as soon as there is anything: a long wait costs no time, and to be asked again was most of its work.
        waits = {f"STREAMREC_KAFKA__{name}": str(_FETCH_WAIT_MS) for name in ("FETCH_WAIT_MAX_MS", "RELAXED_FETCH_WAIT_MAX_MS")}
        return {"STREAMREC_KAFKA__BOOTSTRAP": self.bootstrap, **waits}

    def start(self, timeout_s: float = 60.0) -> Self:
        """Start and wait until Kafka requests are answered. Raises LocalStackError."""
        if self._workspace is None:
            self._workspace = Workspace()
            self.port = self.port or free_port()
            self._controller_port = free_port()
            self._internal_port = free_port()
            self._format()
        if self._child is None:
            self._child = Child("Apache Kafka", self._log_path or self._workspace.path / "kafka.log")
        must_be_free(self.port)
        self._child.start([*self._java(), *_JVM, "kafka.Kafka", str(self._properties)])
        asked = self._internal_port if self._security else self.port
        self._child.wait_until(lambda: answers_kafka(asked), timeout_s, "answering Kafka requests")
        return self

    def stop(self) -> None:
        """End the broker and remove its folder; a second call does nothing."""
        if self._child:
            self._child.kill()  # its data goes with the folder: nothing to be orderly about
        if self._workspace:
            self._workspace.close()
        self._child = self._workspace = None

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a crash would; ``start`` brings it back with its data."""
        if self._child:
            self._child.kill()

    def restart(self) -> None:
        """End the broker in an orderly way and start it again on the same port with its data."""
        if self._child:
            self._child.stop(timeout_s=20.0)
        self.start()

    def hang(self) -> None:
        """Freeze the broker (SIGSTOP): its connections stay open and nothing answers."""
        if self._child:
            self._child.send(signal.SIGSTOP)

    def wake(self) -> None:
        """Let a frozen broker go on."""
        if self._child:
            self._child.send(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _folder(self) -> Path:
        assert self._workspace is not None
        return self._workspace.path

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _java(self) -> list[str]:
        return [java(), _LOG_LEVEL, "-cp", f"{kafka_jars()}/*"]

    def _settings(self) -> dict[str, str | int]:
        controller = f"{HOST}:{self._controller_port}"
        return {
            **self._listeners(controller),
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": "false",
            # One node: nothing can be replicated.
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            # Fewer partitions come back sooner after a crash.
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            # After a crash the controller takes the broker back only when its old session is over.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            # Tests of takeovers need not wait for the six seconds that production should allow.
            "group.min.session.timeout.ms": 1000,
        }

    def _listeners(self, controller: str) -> dict[str, str]:
        if self._security is None:
            return {
                "listeners": f"CLIENTS://{self.bootstrap},CONTROLLER://{controller}",
                "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "inter.broker.listener.name": "CLIENTS",
            }
        return {
            "listeners": f"CLIENTS://{self.bootstrap},INTERNAL://{self.internal_bootstrap},CONTROLLER://{controller}",
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "INTERNAL",
            **self._security.settings(),
        }

    def _format(self) -> None:
        """Write the settings and prepare the data folder, once in the life of the broker."""
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()), encoding="utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", f"--cluster-id={cluster}", "--config", str(self._properties)]
        arguments += self._security.format_arguments() if self._security else []
        command = [*self._java(), "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
        if done.returncode:
            msg = f"Apache Kafka's data folder could not be prepared; its tool says:\n{done.stdout}{done.stderr}"
            raise LocalStackError(msg)
