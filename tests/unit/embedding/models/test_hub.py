"""Files of a hub: fetched whole, gone on with, checked, bounded, and from nowhere else. The hub is a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamrec.config import ModelSettings
from streamrec.embedding import load_encoder
from streamrec.embedding.models import entry_of, hub, sources
from streamrec.embedding.models.entry import Hub
from streamrec.errors import ConfigError, ModelError
from tests.unit.embedding.models.toys import write_graph, write_tokenizer

REVISION = "0123456789abcdef0123456789abcdef01234567"
CONTENT = bytes(range(256)) * 4096  # a megabyte, so that it comes in more than one block
PREFIX = f"/owner/model/resolve/{REVISION}/"


@dataclass
class FakeHub:
    """What the server says of each path, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    #: Path → where to send whoever asks.
    moved: dict[str, str] = field(default_factory=dict)
    #: Path → after how many bytes the connection ends, one number for each time it is asked.
    torn: dict[str, list[int]] = field(default_factory=dict)
    #: Path → what Content-Length says in place of the truth; None: it says nothing.
    lengths: dict[str, int | None] = field(default_factory=dict)
    answers_ranges: bool = True
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        told, path = self.hub, self.path.removeprefix(PREFIX)
        told.asked.append((self.path, self.headers.get("Range") or ""))
        if path in told.moved:
            self.send_response(302)
            self.send_header("Location", told.moved[path])
            self.end_headers()
            return
        body = told.files.get(path)
        if body is None or told.status != 200:
            self.send_error(404 if body is None else told.status)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if told.answers_ranges else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        length = told.lengths.get(path, len(body) - start)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        stops = told.torn.get(path)
        with suppress(ConnectionError):  # whoever refuses a huge answer hangs up
            self.wfile.write(body[start : start + stops.pop(0)] if stops else body[start:])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[FakeHub]:
    told = FakeHub()
    handler = type("Told", (Handler,), {"hub": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        told.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield told
        listening.shutdown()
        thread.join()


def pinned(**contents: bytes) -> Hub:
    files = {name.replace("_", "."): hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return Hub(repository="owner/model", revision=REVISION, graph=next(iter(files)), tokenizer=next(iter(files)), sha256=files)


def limits(server: FakeHub, max_bytes: int = 1 << 24, hosts: tuple[str, ...] = ()) -> hub.Limits:
    return hub.Limits(server.url, hosts, max_bytes, timeout_s=5.0)


def test_a_file_is_fetched_by_its_revision_and_then_never_again(server: FakeHub, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    seen: list[tuple[str, int, int]] = []
    for _ in range(2):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server), lambda *step: seen.append(step))
    assert (hub.place(tmp_path, pinned(a_bin=CONTENT)) / "a.bin").read_bytes() == CONTENT
    assert server.asked == [(f"{PREFIX}a.bin", "")]
    assert sum(steps for _, steps, _ in seen) == len(CONTENT)
    assert {total for _, _, total in seen} == {0, len(CONTENT)}


def test_a_torn_answer_is_gone_on_with_where_it_ended(server: FakeHub, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    server.torn["a.bin"] = [300_000, 300_000]
    hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    assert (hub.place(tmp_path, pinned(a_bin=CONTENT)) / "a.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["", "bytes=300000-", "bytes=600000-"]


def test_a_hub_that_does_not_go_on_is_read_from_the_beginning(server: FakeHub, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    server.torn["a.bin"] = [300_000]
    server.answers_ranges = False
    hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    assert (hub.place(tmp_path, pinned(a_bin=CONTENT)) / "a.bin").read_bytes() == CONTENT


def test_what_came_before_the_hub_fell_silent_is_kept_for_the_next_try(server: FakeHub, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    server.torn["a.bin"] = [300_000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match=r"300,000 bytes are kept, run the same command again"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    assert hub.absent(tmp_path, pinned(a_bin=CONTENT)) == ["a.bin"]
    server.torn.clear()
    hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    assert hub.absent(tmp_path, pinned(a_bin=CONTENT)) == []
    assert server.asked[-1][1] == "bytes=300000-"


def test_a_file_that_is_whole_but_for_its_name_is_only_checked(server: FakeHub, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    folder = hub.place(tmp_path, pinned(a_bin=CONTENT))
    folder.mkdir(parents=True)
    (folder / "a.bin.part").write_bytes(CONTENT)
    hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    assert (folder / "a.bin").read_bytes() == CONTENT


def test_bytes_that_are_not_the_pinned_ones_are_thrown_away(server: FakeHub, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(ModelError, match=r"has the SHA-256 .* and not .*thrown away: check revision and checksum"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    assert [path.name for path in hub.place(tmp_path, pinned(a_bin=CONTENT)).iterdir()] == ["a.bin.lock"]


@pytest.mark.parametrize("length", [1 << 40, None], ids=["it says so", "it says nothing"])
def test_a_huge_answer_is_ended_and_not_kept(server: FakeHub, tmp_path: Path, length: int | None) -> None:
    server.files["a.bin"] = CONTENT
    server.lengths["a.bin"] = length
    with pytest.raises(ModelError, match=r"model\.hub_max_bytes is 500,000; raise it"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server, max_bytes=500_000))
    assert [path.name for path in hub.place(tmp_path, pinned(a_bin=CONTENT)).iterdir()] == ["a.bin.lock"]


def test_a_redirect_is_followed_to_an_allowed_host_and_to_no_other(server: FakeHub, tmp_path: Path) -> None:
    server.files["moved.bin"] = CONTENT
    server.moved["a.bin"] = f"{server.url.replace('127.0.0.1', 'localhost')}{PREFIX}moved.bin"
    with pytest.raises(ModelError, match=r"leads to localhost, which model\.hub_hosts does not allow"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server, hosts=("*.example.org", "localhost")))
    assert hub.absent(tmp_path, pinned(a_bin=CONTENT)) == []


@pytest.mark.parametrize("target", ["http://cdn.example.org/a", "ftp://cdn.example.org/a", "file:///etc/passwd"])
def test_a_redirect_away_from_https_is_never_followed(server: FakeHub, tmp_path: Path, target: str) -> None:
    server.files["a.bin"] = CONTENT
    server.moved["a.bin"] = target
    with pytest.raises(ModelError, match=r"which is not https|is not allowed"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server, hosts=("*",)))
    assert hub.absent(tmp_path, pinned(a_bin=CONTENT)) == ["a.bin"]


def test_http_is_for_this_machine_alone(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"leads to http://hub\.example\.org, which is not https"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), hub.Limits("http://hub.example.org", ("*",), 1))


def test_a_refusal_says_what_to_check(server: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the hub answered 404.*check repository, revision and path"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    server.files["a.bin"], server.status = CONTENT, 503
    with pytest.raises(ModelError, match="the hub answered 503; 0 bytes are kept"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))
    assert len(server.asked) == 1 + 4


def test_a_cache_that_cannot_be_written_is_named(server: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, no folder", encoding="utf-8")
    with pytest.raises(ModelError, match=r"cannot be written.*STREAMREC_MODEL__CACHE_DIR"):
        hub.fetch(tmp_path, pinned(a_bin=CONTENT), limits(server))


def test_bytes_that_changed_on_disk_are_found(server: FakeHub, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT
    wanted = pinned(a_bin=CONTENT)
    hub.fetch(tmp_path, wanted, limits(server))
    assert hub.damaged(tmp_path, wanted) == []
    (hub.place(tmp_path, wanted) / "a.bin").write_bytes(b"something else")
    assert hub.damaged(tmp_path, wanted) == ["a.bin"]


def declared(server: FakeHub, tmp_path: Path, **more: object) -> ModelSettings:
    """Return settings of a model of the hub whose graph is a toy."""
    graph, tokenizer = write_graph(tmp_path / "up" / "g").read_bytes(), write_tokenizer(tmp_path / "up" / "t").read_bytes()
    server.files |= {"onnx/model.onnx": graph, "tokenizer.json": tokenizer}
    sums = {"onnx/model.onnx": hashlib.sha256(graph).hexdigest(), "tokenizer.json": hashlib.sha256(tokenizer).hexdigest()}
    source = {"repository": "owner/model", "revision": REVISION, "sha256": sums}
    fields = {"name": "far", "cache_dir": tmp_path / "cache", "provider": "cpu", "hub_url": server.url}
    return ModelSettings.model_validate({**fields, "own": {"far": {"hub": source, "pooling": "last", **more}}})


def test_a_model_is_fetched_only_by_build_and_then_loads(server: FakeHub, tmp_path: Path) -> None:
    settings = declared(server, tmp_path, end_token="</s>")
    entry = entry_of(settings)
    with pytest.raises(
        ModelError, match=r"far was not fetched yet \(onnx/model\.onnx, tokenizer\.json\); run: streamrec model build far"
    ):
        load_encoder(settings)
    assert (server.asked, sources.state_of(entry, settings)) == ([], "to be fetched")
    sources.build(entry, settings)
    assert sources.state_of(entry, settings) == "ready"
    assert load_encoder(settings).encode(["red"])[0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]


def test_the_digest_of_a_fetched_model_is_that_of_its_checksums(server: FakeHub, tmp_path: Path) -> None:
    """Of every file, also of weights beside the graph, and without reading gigabytes at each start."""
    settings = declared(server, tmp_path)
    sources.build(entry_of(settings), settings)
    first = load_encoder(settings).digest
    changed = settings.model_copy(deep=True)
    changed.own["far"]["hub"]["sha256"]["weights.bin"] = hashlib.sha256(b"w").hexdigest()
    server.files["weights.bin"] = b"w"
    sources.build(entry_of(changed), changed)
    assert load_encoder(changed).digest != first


def test_build_refuses_a_tokenizer_that_does_not_end_as_declared(server: FakeHub, tmp_path: Path) -> None:
    settings = declared(server, tmp_path, end_token="<|endoftext|>")
    with pytest.raises(ModelError, match=r"ends a text with '</s>' and not with '<\|endoftext\|>'"):
        sources.build(entry_of(settings), settings)


def test_a_hub_s_entry_without_a_checksum_is_no_entry() -> None:
    with pytest.raises(ConfigError, match=r"of which hub.sha256 holds no checksum"):
        entry_of(ModelSettings.model_validate({"name": "x", "own": {"x": {"hub": {"repository": "a/b", "sha256": {}}}}}))
