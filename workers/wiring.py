"""The composition root: the one place where parts are put together."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import faust
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, disable_created_metrics

from streamrec.clock import SystemClock
from streamrec.errors import ConfigError
from streamrec.lists.connection import connect
from streamrec.lists.functions import ensure_functions
from streamrec.observing import PrometheusObserver, configure_logging, log_uncaught
from streamrec.roles import ROLES
from workers.app import App
from workers.garbage import collect_seldom
from workers.gauges import WorkerGauges
from workers.health import Health
from workers.heartbeat import Heartbeat, new_worker_id
from workers.parts import Parts
from workers.ports import free_port
from workers.shutdown import MARGIN_S, Bound
from workers.transport.probe import BrokerProbe
from workers.transport.producer import Producer
from workers.watch import watch
from workers.web import add_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamrec.config import Settings
    from workers.parts import Role
    from workers.transport.pipeline import Pipeline


def check_roles(roles: Sequence[str]) -> None:
    """Raise ConfigError unless every role exists and there is at least one."""
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        msg = f"roles: {', '.join(unknown) or 'none given'}; choose from {', '.join(ROLES)}"
        raise ConfigError(msg)


def build_app(settings: Settings, roles: Sequence[str], worker_id: str = "") -> App:
    """Put a worker together that plays ``roles``.

    Raises ConfigError, ModelError, StoreUnavailable, BrokerUnavailable.
    """
    check_roles(roles)
    worker_id = worker_id or new_worker_id()
    quiet: Any = disable_created_metrics  # not typed by its authors
    quiet()  # nobody asks when a counter was made, and the series would be twice as many
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    client = connect(settings.redis)
    ensure_functions(client)
    port = settings.web.port or free_port(settings.web.host)
    app = App("streamrec", settings.web, port)
    parts = Parts(app, settings, SystemClock(), observer, client, Producer(settings.kafka))
    # Imported only where the role is played: an encoder or an index is heavy.
    built: list[Role] = [importlib.import_module(f"workers.{name}").build(parts) for name in dict.fromkeys(roles)]
    looks_every_s = settings.web.max_silence_s / 5
    watching = watch(client, BrokerProbe(settings.kafka, looks_every_s), built, looks_every_s)
    health = Health(built, watching.dependencies, settings.web, stopping=lambda: app.should_stop)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(WorkerGauges(built, watching.dependencies, health))
    url = settings.web.advertised_url or f"http://{settings.web.host}:{port}"
    heartbeat = Heartbeat(parts, built, url, health, worker_id)
    add_pages(app, built, health, observer.exposition)
    app.add([service for role in built for service in role.services])
    app.add([watching, heartbeat])
    _end_in_time(app, [pipeline for role in built for pipeline in role.pipelines], settings.kafka.drain_timeout_s)
    return app


def _end_in_time(app: App, pipelines: Sequence[Pipeline], drain_timeout_s: float) -> None:
    def held() -> list[str]:
        return [f"{one.runner.name}: {one.reader.in_flight} batches" for one in pipelines if one.reader.is_alive()]

    app.stopping += [Bound(drain_timeout_s + MARGIN_S, held).begin, *(one.stop_reading for one in pipelines)]


def run_worker(settings: Settings, roles: Sequence[str]) -> None:
    """Run a worker that plays ``roles`` until SIGTERM or SIGINT; leave the process with its exit status.

    Raises ConfigError, ModelError, StoreUnavailable or BrokerUnavailable when it cannot start.
    """
    worker_id = new_worker_id()
    configure_logging(settings.log_level, settings.log_format, secrets=settings.secrets(), worker=worker_id, roles=list(roles))
    log_uncaught()
    app = build_app(settings, roles, worker_id)
    collect_seldom()
    worker = faust.Worker(app, loglevel=settings.log_level, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    worker.execute_from_commandline()
