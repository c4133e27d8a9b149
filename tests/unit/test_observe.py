"""Observers hear every outcome, never raise, stay bounded, and let no secret into the logs."""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger

from streamrec.observe import Memory, Observer, Silence
from streamrec.observing import Both, LogObserver, PrometheusObserver, configure_logging
from streamrec.observing.counters import COUNTERS


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def _observers() -> list[Observer]:
    return [Silence(), Memory(), LogObserver(CapturingLogger()), PrometheusObserver(), Both(Memory(), PrometheusObserver()), Both()]


@pytest.mark.parametrize("observer", _observers(), ids=lambda observer: type(observer).__name__)
def test_an_observer_takes_whatever_it_is_told(observer: Observer) -> None:
    for name in ("records", "a name with spaces", "", "9 lives", "работа"):
        observer.count(name, "events.clicks")
        observer.count(name, "", 0)
        observer.count(name, "x", -1)
        observer.took(name, 0.0)
        observer.size(name, 0)
    observer.fresh("events.clicks", -5.0)
    observer.fresh("", 1e12)


def test_both_tells_each_of_its_observers_the_same() -> None:
    one, two = Memory(), Memory()
    both = Both(one, two)
    both.count("records", "events.clicks", 3)
    both.fresh("soldout", 12.0)
    both.took("rank", 0.5)
    both.size("rank", 7)
    assert one.sizes == two.sizes == [("rank", 7)]
    assert one.counts == two.counts == {("records", "events.clicks"): 3}
    assert one.ages == two.ages == [("soldout", 12.0)]
    assert one.times == two.times == [("rank", 0.5)]


def test_prometheus_shows_counts_freshness_and_work() -> None:
    observer = PrometheusObserver()
    observer.count("records", "events.clicks", 5)
    observer.count("records", "events.clicks")
    observer.count("lists_pushed", "home", 2)
    observer.fresh("soldout", 40.0)
    observer.took("rank", 0.002)
    observer.size("rank", 7)
    text = observer.exposition().decode()
    assert 'streamrec_records_total{kind="events.clicks"} 6.0' in text
    assert 'streamrec_lists_pushed_total{kind="home"} 2.0' in text
    assert 'streamrec_freshness_seconds_bucket{kind="soldout",le="0.05"} 1.0' in text
    assert 'streamrec_freshness_seconds_bucket{kind="soldout",le="0.02"} 0.0' in text
    assert 'streamrec_work_seconds_count{name="rank"} 1.0' in text
    assert 'streamrec_batch_records_sum{name="rank"} 7.0' in text


def test_what_can_be_counted_is_in_the_exposition_before_it_happens() -> None:
    """An alert on a counter that does not exist yet would stay silent."""
    text = PrometheusObserver().exposition().decode()
    assert all(f"# HELP streamrec_{name}_total {told}" in text for name, told in COUNTERS.items())


def test_prometheus_stays_bounded_over_ten_times_as_many_kinds() -> None:
    observer = PrometheusObserver(max_series=10)
    for number in range(100):
        observer.count("records", f"kind-{number}")
        observer.fresh(f"kind-{number}", 1.0)
        observer.took(f"work-{number}", 1.0)
    text = observer.exposition().decode()
    assert text.count("streamrec_records_total{") == 11
    assert 'streamrec_records_total{kind="other"} 90.0' in text
    assert text.count("streamrec_freshness_seconds_count{") == 11
    assert text.count("streamrec_work_seconds_count{") == 11


def test_prometheus_stays_bounded_over_ten_times_as_many_names() -> None:
    observer = PrometheusObserver(max_series=10)
    for number in range(100):
        observer.count(f"name-{number}", "kind")
    assert observer.exposition().decode().count("# TYPE streamrec_name_") <= 20  # each counter also tells when it was created


def test_refused_records_are_warnings_and_the_rest_is_for_debugging() -> None:
    log = CapturingLogger()
    observer = LogObserver(log)
    observer.count("rejected", "events.clicks")
    observer.count("records", "events.clicks", 9)
    observer.fresh("soldout", 1.0)
    observer.took("rank", 2.0)
    assert [call.method_name for call in log.calls] == ["warning", "debug", "debug", "debug"]
    assert log.calls[0].kwargs == {"kind": "events.clicks", "n": 1}


def _lines(form: Any = "json", level: str = "INFO", secrets: tuple[str, ...] = ()) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, form, secrets=secrets, stream=stream)
    return stream


def test_a_json_line_holds_time_level_message_and_fields() -> None:
    stream = _lines()
    structlog.get_logger("ours").info("started", role="embedder", items=3)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "logger": "ours", "message": "started", "role": "embedder", "items": 3}


def test_every_line_says_whose_it_is_whatever_thread_it_comes_from() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, worker="w-1", roles=["embedder"])
    thread = threading.Thread(target=structlog.get_logger("ours").info, args=["from a thread"], kwargs={"offset": 3})
    thread.start()
    thread.join()
    logging.getLogger("librdkafka").warning("from a library")
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (ours["worker"], ours["roles"], ours["offset"]) == ("w-1", ["embedder"], 3)
    assert (theirs["worker"], theirs["message"]) == ("w-1", "from a library")


def test_what_libraries_log_comes_out_in_the_same_form_once() -> None:
    logging.getLogger("mode").addHandler(logging.StreamHandler(io.StringIO()))
    stream = _lines()
    logging.getLogger("mode.worker").warning("Stopping %s", "gently")
    [line] = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (line["message"], line["level"], line["logger"]) == ("Stopping gently", "warning", "mode.worker")


def test_python_warnings_are_log_lines() -> None:
    stream = _lines()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old habits", UserWarning, stacklevel=1)
    assert "old habits" in json.loads(stream.getvalue())["message"]


def test_levels_below_the_one_asked_for_are_silent() -> None:
    stream = _lines(level="WARNING")
    structlog.get_logger("ours").info("chatter")
    logging.getLogger("theirs").info("chatter")
    assert not stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_the_log(form: str) -> None:
    stream = _lines(form, secrets=("hunter2", "s3cret"))
    log = structlog.get_logger("ours")
    log.info(
        "connecting",
        url="rediss://shop:swordfish@redis:6379/0",
        sasl_password="open-sesame",
        options=[{"token": "t0ken"}, "is hunter2"],
    )
    log.error("failed with hunter2", exc_info=ConnectionError("cannot reach redis://:s3cret@redis"))
    logging.getLogger("theirs").warning("retrying %s", "redis://u:hunter2@redis")
    text = stream.getvalue()
    assert "connecting" in text
    for secret in ("swordfish", "open-sesame", "t0ken", "hunter2", "s3cret"):
        assert secret not in text
