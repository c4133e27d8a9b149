"""Who listens to outcomes: logs and Prometheus, alone or together. The port is ``streamrec.observe.Observer``."""

from streamrec.observing.both import Both
from streamrec.observing.log_observer import LogObserver
from streamrec.observing.logs import configure_logging, log_uncaught
from streamrec.observing.prometheus_observer import PrometheusObserver

__all__ = ["Both", "LogObserver", "PrometheusObserver", "configure_logging", "log_uncaught"]
