"""The compose file and the images fit the code: every role runs, every setting exists, nothing starts before what it needs."""

from __future__ import annotations

import http.server
import importlib.util
import re
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from streamrec.cli.app import root
from streamrec.config import Settings
from streamrec.roles import ROLES
from workers.shutdown import MARGIN_S

REPOSITORY = Path(__file__).parents[3]
DOCKERFILES = [REPOSITORY / "deploy" / "Dockerfile", REPOSITORY / "deploy" / "Dockerfile.gpu"]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if service.get("command", [""])[0] == "worker"}


def _settings_names() -> set[str]:
    names = {f"STREAMREC_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        names |= {f"STREAMREC_{name.upper()}__{part.upper()}" for part in inner}
    return names


def test_the_roles_of_the_command_line_are_those_that_are_wired() -> None:
    assert all(find_spec(f"workers.{role}") for role in ROLES)


def test_every_role_is_a_service() -> None:
    roles = [role for service in WORKERS.values() for role in service["command"][2].split(",")]
    assert sorted(roles) == sorted(ROLES)


@pytest.mark.parametrize("name", sorted(name for name, service in SERVICES.items() if service.get("image") == "streamrec"))
def test_a_services_command_is_one_of_ours(name: str) -> None:
    verb = [part for part in SERVICES[name]["command"] if not part.startswith("-") and part not in ROLES]
    assert CliRunner().invoke(root, [*verb, "--help"]).exit_code == 0


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_sets_only_settings_that_exist(name: str) -> None:
    ours = {variable for variable in SERVICES[name].get("environment", {}) if variable.startswith("STREAMREC_")}
    assert ours <= _settings_names()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_sets_only_settings_that_exist_and_runs_as_nobody_special(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"STREAMREC_\w+(?==)", text)) <= _settings_names()
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in text


@pytest.mark.parametrize("name", sorted(WORKERS))
def test_a_worker_waits_for_topics_and_redis_is_watched_and_comes_back(name: str) -> None:
    service = WORKERS[name]
    assert service["depends_on"] == {
        "topics": {"condition": "service_completed_successfully"},
        "redis": {"condition": "service_healthy"},
    }
    assert service["restart"] == "unless-stopped"
    assert "/usr/local/lib/streamrec/healthcheck.py" in service["healthcheck"]["test"]
    drain_s = Settings.model_fields["kafka"].default.drain_timeout_s
    assert float(service["stop_grace_period"].removesuffix("s")) > drain_s + MARGIN_S


@pytest.mark.parametrize("name", ["kafka", "redis"])
def test_the_servers_are_pinned_watched_restarted_and_keep_their_data(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d+\.\d+\.\d+$", service["image"])
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_what_an_image_copies_is_let_through_by_dockerignore() -> None:
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    for path in DOCKERFILES:
        for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            for source in line.split()[:-1]:
                assert source in allowed
                assert (REPOSITORY / source).exists()


@pytest.fixture
def healthcheck() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthcheck", REPOSITORY / "deploy" / "healthcheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Worker(http.server.BaseHTTPRequestHandler):
    """Answers /readyz with the status that its server holds."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/readyz" else 404)  # type: ignore[attr-defined]  # set by the fixture
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Worker)
    monkeypatch.setenv("STREAMREC_WEB__HOST", "127.0.0.1")
    monkeypatch.setenv("STREAMREC_WEB__PORT", str(server.server_port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_a_container_is_healthy_when_its_worker_is_ready(
    healthcheck: ModuleType, worker: http.server.HTTPServer, status: int, code: int
) -> None:
    worker.status = status  # type: ignore[attr-defined]  # read by the handler
    assert healthcheck.main() == code


def test_a_container_without_a_worker_is_not_healthy(healthcheck: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_WEB__HOST", "127.0.0.1")
    monkeypatch.setenv("STREAMREC_WEB__PORT", "1")
    assert healthcheck.main() == 1
