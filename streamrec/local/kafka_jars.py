"""The jars of Apache Kafka: resolved by Maven from Maven Central once, kept in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from streamrec.errors import LocalStackError

_POM: Final = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"
_TIMEOUT_S: Final = 300.0


def missing_programs() -> list[str]:
    """Return which of the programs that a real Kafka needs are not on this machine."""
    return [program for program in ("java", "mvn") if shutil.which(program) is None]


def java() -> str:
    """Return the path of the Java runtime. Raises LocalStackError."""
    program = shutil.which("java")
    if program is None:
        msg = "Apache Kafka needs a Java runtime, 17 or newer (Debian: apt install default-jre-headless); or use --broker embedded"
        raise LocalStackError(msg)
    return program


def kafka_jars() -> Path:
    """Return the folder with the jars of ``deploy/kafka/pom.xml``; the first call for a pom fetches them.

    Raises LocalStackError.
    """
    if not _POM.is_file():
        msg = f"{_POM} is not there: Apache Kafka is run from a checkout of the repository; or use --broker embedded"
        raise LocalStackError(msg)
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "streamrec"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of one machine fetch them once
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        msg = "Apache Kafka's jars come by Maven, which is not installed (Debian: apt install maven); or use --broker embedded"
        raise LocalStackError(msg)
    unfinished = folder.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}"]
    command = [maven, "--batch-mode", "--quiet", "--file", str(_POM), *goal]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired as error:
        msg = f"Maven did not bring Apache Kafka's jars within {_TIMEOUT_S:.0f} s; check the network and try again"
        raise LocalStackError(msg) from error
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        msg = f"Maven could not bring Apache Kafka's jars; check the network and its settings:\n{said}"
        raise LocalStackError(msg)
    unfinished.rename(folder)
