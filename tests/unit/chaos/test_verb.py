"""``streamrec chaos`` names its faults, refuses what cannot be, and its exit code is the verdict's."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from streamrec.chaos import run
from streamrec.chaos.faults import FAULTS
from streamrec.chaos.findings import Finding, verdict
from streamrec.chaos.fleet import Crash
from streamrec.cli.app import root

LOST = Finding("lost", "an event of a visitor", "profile:{u}", (1, "click", "a"), 0)


def report(*findings: Finding) -> run.Report:
    """Return how a run might have ended."""
    crashes = [Crash("embedder", 2, "Redis was away")]
    return run.Report(
        seed=3,
        minutes=2.0,
        broker="apache",
        verdict=verdict(findings, {"profiles": 7}, 1.5),
        faults={"worker-killed": 2},
        schedule=[],
        messages=100,
        sent_again=0,
        reads=50,
        rebuilds=0,
        crashes=crashes,
    )


def test_every_fault_is_listed_with_what_happens() -> None:
    result = CliRunner().invoke(root, ["chaos", "--list"])
    assert result.exit_code == 0
    assert all(name in result.stdout and fault.__doc__ for name, fault in FAULTS.items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--faults", "earthquake"], "no such fault"), (["--broker", "embedded", "--faults", "broker-away"], "use --broker apache")],
)
def test_what_cannot_be_is_refused_before_anything_starts(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(root, ["chaos", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(("findings", "code"), [((), 0), ((LOST,), 1)])
def test_the_exit_code_is_the_verdict(monkeypatch: pytest.MonkeyPatch, findings: tuple[Finding, ...], code: int) -> None:
    monkeypatch.setattr(run, "run_chaos", lambda _options, _say: report(*findings))
    result = CliRunner().invoke(root, ["chaos", "--seed", "3", "--json"])
    assert result.exit_code == code
    told = json.loads(result.stdout)
    assert {name: told[name] for name in ("seed", "lost", "doubled", "stale", "faults")} == {
        "seed": 3,
        "lost": len(findings),
        "doubled": 0,
        "stale": 0,
        "faults": {"worker-killed": 2},
    }
    assert told["details"] == json.loads(json.dumps([finding._asdict() for finding in findings]))
    said = CliRunner().invoke(root, ["chaos", "--seed", "3"])
    assert said.exit_code == code
    assert f"lost {len(findings)}, doubled 0, stale 0" in said.stdout
    assert "embedder ended by itself with code 2" in said.stdout
