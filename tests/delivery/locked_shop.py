"""A shop whose Kafka and Redis ask everybody who they are, with exactly the rights that deploy/acl gives."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import orjson
import pytest
import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from streamrec.config import Settings
from streamrec.lists import keys
from streamrec.local import KafkaSecurity, LocalKafka, LocalRedis, WorkerProcess
from streamrec.roles import ROLES
from tests.certificates import make_certificates
from tests.integration.shop import QUICK
from tests.tls_front import TlsFront
from workers.transport.producer import Producer

ACL = Path(__file__).parents[2] / "deploy" / "acl"
PRODUCERS = ("merchant", "campaigns", "tracker")
#: Who logs in to Kafka, and who to Redis.
KAFKA_USERS, REDIS_USERS = (*ROLES, *PRODUCERS, "operator", "analyst"), (*ROLES, "storefront", "operator")
#: This role has its password in its address, as many do; the others have files.
IN_ADDRESS = "aggregator"


def kafka_rights() -> list[AclBinding]:
    """Return what ``kafka.acl`` says."""
    lines = [line.split() for line in (ACL / "kafka.acl").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return [
        AclBinding(
            ResourceType[resource.upper()],
            name.removesuffix("*"),
            ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL,
            f"User:streamrec-{role}",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for role, resource, name, operations in lines
        for operation in operations.split(",")
    ]


class LockedShop:
    """Kafka with TLS, client certificates, SCRAM and ACLs; Redis behind TLS with ACL users; a folder of secret files per user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.passwords: dict[str, str] = {}
        self.workers: dict[str, WorkerProcess] = {}
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._undo.close)
            self._start()
            undo.pop_all()
        return self

    def _start(self) -> None:
        self.logs.mkdir()
        self.key_password = self.secret("key")
        self.certificates = make_certificates(self.folder, self.key_password)
        users = {f"streamrec-{role}": self.secret(f"kafka-{role}") for role in KAFKA_USERS}
        security = KafkaSecurity(self.certificates.server, self.certificates.authority, users)
        self.kafka = self._undo.enter_context(LocalKafka(log_path=self.logs / "kafka.log", security=security))
        self.admin = AdminClient({"bootstrap.servers": self.kafka.internal_bootstrap})
        self.give(kafka_rights())
        login = ("redis-admin", self.secret("redis-admin"))
        server = LocalRedis(log_path=self.logs / "redis.log", users=self._redis_users(), admin=login)
        self._undo.enter_context(server)
        self.redis = redis.Redis(port=server.port, username=login[0], password=login[1])
        self._undo.callback(self.redis.close)
        self.front = self._undo.enter_context(TlsFront(server.port, self.certificates.server, self.certificates.authority))
        for role in sorted({*KAFKA_USERS, *REDIS_USERS}):
            self._write_secrets(role)

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor(max(len(self.workers), 1)) as pool:
            list(pool.map(lambda worker: worker.stop(), self.workers.values()))
        self._undo.close()

    def secret(self, name: str) -> str:
        """Return the secret of that name, with characters that addresses and JSON spell differently."""
        # As an ACL's inline command and a SCRAM option take it: neither spaces nor commas nor quotes.
        return self.passwords.setdefault(name, f"{secrets.token_hex(8)}/+%&:@{secrets.token_hex(4)}")

    def give(self, rights: list[AclBinding]) -> None:
        """Give rights in Kafka."""
        for future in self.admin.create_acls(rights).values():
            future.result(60)

    def _redis_users(self) -> Path:
        folder = self.folder / "redis-passwords"
        folder.mkdir()
        for role in REDIS_USERS:
            (folder / f"streamrec-{role}").write_text(self.secret(f"redis-{role}") + "\n", encoding="utf-8")
        (folder / "redis-admin").write_text(self.secret("redis-admin"), encoding="utf-8")
        printed = subprocess.run([ACL / "redis-users.sh", folder], capture_output=True, text=True, check=True)
        assert printed.stderr == ""
        users = self.folder / "users.acl"
        users.write_text(printed.stdout, encoding="utf-8")
        return users

    def _write_secrets(self, role: str) -> None:
        folder = self.folder / f"secrets-{role}"
        folder.mkdir()
        values = {"REDIS__SSL_KEY_PASSWORD": self.key_password}
        if role in KAFKA_USERS:
            values["KAFKA__SSL_KEY_PASSWORD"] = self.key_password
            values["KAFKA__SASL_PASSWORD"] = self.secret(f"kafka-{role}")
        if role in REDIS_USERS and role != IN_ADDRESS:
            values["REDIS__PASSWORD"] = self.secret(f"redis-{role}")
        for name, value in values.items():
            (folder / f"STREAMREC_{name}").write_text(value + "\n", encoding="utf-8")

    def environment(self, role: str) -> dict[str, str]:
        """Return the settings of a role; its secrets are in files."""
        files, address, user = self.certificates, f"127.0.0.1:{self.front.port}/0", f"streamrec-{role}"
        in_address = role == IN_ADDRESS
        login = f"{user}:{quote(self.secret(f'redis-{role}'), safe='')}@" if in_address else ""
        beside = {"STREAMREC_REDIS__USERNAME": user} if role in REDIS_USERS and not in_address else {}
        servers = ("KAFKA", "REDIS") if role in KAFKA_USERS else ("REDIS",)
        kafka = {
            "STREAMREC_KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "STREAMREC_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "STREAMREC_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "STREAMREC_KAFKA__SASL_USERNAME": user,
        }
        tls = {"SSL_CA_LOCATION": files.authority, "SSL_CERTIFICATE_LOCATION": files.client, "SSL_KEY_LOCATION": files.client_key}
        return {
            **QUICK,
            "STREAMREC_LOG_LEVEL": "DEBUG",
            "STREAMREC_SECRETS_DIR": str(self.folder / f"secrets-{role}"),
            "STREAMREC_REDIS__URL": f"rediss://{login}{address}",
            **beside,
            **(kafka if role in KAFKA_USERS else {}),
            **{f"STREAMREC_{server}__{name}": str(path) for server in servers for name, path in tls.items()},
        }

    def settings(self, role: str, **other: str) -> Settings:
        """Return the settings of a role as its process reads them."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (self.environment(role) | other).items():
                patch.setenv(name, value)
            return Settings.load()

    def publish(self, role: str, messages: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
        """Send (topic, key, value) messages as a role."""
        with Producer(self.settings(role).kafka) as producer:
            for topic, key, value in messages:
                producer.send(topic, key, orjson.dumps(value))

    def beats(self) -> dict[str, dict[str, Any]]:
        """Return each role's heartbeat."""
        values = [self.redis.get(name) for name in self.redis.scan_iter(match=keys.worker("*"))]
        return {beat["roles"][0]: beat for beat in (orjson.loads(value) for value in values if isinstance(value, bytes))}

    def leaks(self, *texts: str) -> list[str]:
        """Return which secrets stand where: in the logs of everything that ran, or in ``texts``."""
        places = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in self.logs.iterdir()}
        places |= {f"text {number}": text for number, text in enumerate(texts)}
        spelled = {name: (secret, quote(secret, safe=""), quote(secret)) for name, secret in self.passwords.items()}
        return [
            f"{name} in {where}" for where, text in places.items() for name, ways in spelled.items() if any(w in text for w in ways)
        ]

    def worker(self, role: str, **other: str) -> WorkerProcess:
        """Return a worker of one role that was started."""
        self.workers[role] = WorkerProcess((role,), self.environment(role) | other, self.logs / f"{role}.log").start()
        return self.workers[role]

    def ready(self) -> bool:
        """Tell whether all workers say so; fail with the log of one that ended."""
        for role, worker in self.workers.items():
            assert worker.running, f"{role} ended with {worker.exit_code}:\n{worker.log_tail()}"
        beats = self.beats()
        return all(beats.get(role, {}).get("ready") for role in self.workers)

    def cli(self, *arguments: str, role: str = "operator", **other: str) -> subprocess.CompletedProcess[str]:
        """Run the command line as a role; what it prints is kept with the logs."""
        done = subprocess.run(
            [sys.executable, "-m", "streamrec", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(Path.home()), **self.environment(role), **other},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        with (self.logs / "cli.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done
