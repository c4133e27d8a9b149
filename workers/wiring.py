"""The composition root: the one place where parts are put together."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import faust
from prometheus_client import CollectorRegistry

from streamrec.clock import SystemClock
from streamrec.errors import ConfigError
from streamrec.lists.connection import connect
from streamrec.lists.functions import ensure_functions
from streamrec.observing import PrometheusObserver, configure_logging
from streamrec.roles import ROLES
from workers.app import App
from workers.heartbeat import Heartbeat
from workers.lag import LagMetrics
from workers.parts import Parts
from workers.ports import free_port
from workers.transport.producer import Producer
from workers.web import add_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamrec.config import Settings
    from workers.parts import Role


def check_roles(roles: Sequence[str]) -> None:
    """Raise ConfigError unless every role exists and there is at least one."""
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        msg = f"roles: {', '.join(unknown) or 'none given'}; choose from {', '.join(ROLES)}"
        raise ConfigError(msg)


def build_app(settings: Settings, roles: Sequence[str]) -> App:
    """Put a worker together that plays ``roles``.

    Raises ConfigError, ModelError, StoreUnavailable, BrokerUnavailable.
    """
    check_roles(roles)
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    client = connect(settings.redis)
    ensure_functions(client)
    port = settings.web.port or free_port(settings.web.host)
    app = App("streamrec", settings.web, port)
    parts = Parts(app, settings, SystemClock(), observer, client, Producer(settings.kafka))
    # Imported only where the role is played: an encoder or an index is heavy.
    built: list[Role] = [importlib.import_module(f"workers.{name}").build(parts) for name in dict.fromkeys(roles)]
    registry.register(LagMetrics(built))
    heartbeat = Heartbeat(parts, built, settings.web.advertised_url or f"http://{settings.web.host}:{port}")
    add_pages(app, built, observer.exposition)
    app.add([service for role in built for service in role.services])
    app.add([heartbeat])
    return app


def run_worker(settings: Settings, roles: Sequence[str]) -> None:
    """Run a worker that plays ``roles`` until SIGTERM or SIGINT; leave the process with its exit status.

    Raises ConfigError, ModelError, StoreUnavailable or BrokerUnavailable when it cannot start.
    """
    secrets = (settings.kafka.sasl_password.get_secret_value(), settings.redis.url.get_secret_value())
    configure_logging(settings.log_level, settings.log_format, secrets=secrets)
    app = build_app(settings, roles)
    worker = faust.Worker(app, loglevel=settings.log_level, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    worker.execute_from_commandline()
