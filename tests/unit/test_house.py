"""The house stays as it was built: what may import what, how long a file may be, who builds keys, how fast help comes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "streamrec"
OUTER_ROOMS = ("cli", "demo", "bench", "evaluate", "chaos", "__main__")
PACKAGES = ("streamrec", "workers", "tests")
LONGEST_FILE = 500

_IMPORT_ALL = """
import importlib, sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"faust", "mode", "confluent_kafka", "workers", "aiokafka"}:
            raise ImportError(f"the library must not import {name}")

sys.meta_path.insert(0, Guard())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""

_IMPORTED_BY_HELP = """
import sys
from click.testing import CliRunner
from streamrec.cli.app import root
assert CliRunner().invoke(root, ["--help"]).exit_code == 0
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _modules() -> list[str]:
    names = []
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        if parts[1] not in OUTER_ROOMS:
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def _inner() -> list[Path]:
    return sorted(
        path for path in LIBRARY.rglob("*.py") if path.relative_to(LIBRARY).parts[0].removesuffix(".py") not in OUTER_ROOMS
    )


def _sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))


def test_the_library_runs_where_neither_faust_nor_a_kafka_client_is() -> None:
    result = _python(_IMPORT_ALL, *_modules())
    assert result.returncode == 0, result.stderr


def test_the_guard_of_the_test_above_guards() -> None:
    assert "must not import" in _python(_IMPORT_ALL, "workers.transport.producer").stderr


def test_nothing_of_the_library_names_the_outer_rooms() -> None:
    """Also not inside a function, which importing alone would not show."""
    offending = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in _inner()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
        if re.match(r"(workers|faust|mode|confluent_kafka|streamrec\.(cli|demo|bench|evaluate|chaos))(\.|$)", name)
    ]
    assert offending == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize("package", ["streamrec", "workers"])
def test_every_folder_says_what_it_is_for(package: str) -> None:
    folders = {path.parent for path in (REPOSITORY / package).rglob("*.py")}
    silent = [
        folder for folder in folders if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_file_is_a_facade_that_collected_everything() -> None:
    long = {str(path.relative_to(REPOSITORY)): len(path.read_text(encoding="utf-8").splitlines()) for path in _sources()}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE} == {}


def test_redis_keys_are_built_in_one_file() -> None:
    built = re.compile(r"""f["'](rec|profile|item|similar|together|trending|new|streamrec:\w+):""")
    elsewhere = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in [*_inner(), *(LIBRARY / "cli").rglob("*.py"), *(REPOSITORY / "workers").rglob("*.py")]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if built.search(line) and path != LIBRARY / "lists" / "keys.py"
    ]
    assert elsewhere == []


def test_the_clock_is_read_in_one_file() -> None:
    wall = re.compile(r"\btime\.time(_ns)?\(|datetime\.(utc)?now\(")
    reading = {str(path.relative_to(LIBRARY)) for path in _inner() if wall.search(path.read_text(encoding="utf-8"))}
    # The embedded stack compares the age of folders with the file system's own clock.
    assert reading - {"local/workspace.py"} == {"clock.py"}


def test_help_loads_nothing_heavy() -> None:
    """`streamrec --help` takes as long as Python and click take to start."""
    result = _python(_IMPORTED_BY_HELP)
    assert result.returncode == 0, result.stderr
    heavy = {"numpy", "redis", "pydantic", "rich", "onnxruntime", "faust", "confluent_kafka", "msgspec", "workers", "structlog"}
    assert heavy & set(result.stdout.split()) == set()


def test_no_unfinished_work_is_marked() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|NotImplemented" + r"Error")
    found = [str(path.relative_to(REPOSITORY)) for path in _sources() if marks.search(path.read_text(encoding="utf-8"))]
    assert found == []
