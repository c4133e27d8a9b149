"""`streamrec pictures look`: what comes of one picture, without a worker."""

from __future__ import annotations

import json
from pathlib import Path

from streamrec.config import Settings
from streamrec.pictures.decoding import from_base64
from streamrec.pictures.settings import PictureSettings
from tests.picture_server import PictureServer, jpeg
from tests.unit.cli.fakes import FakeParts, run
from tests.unit.pictures.graphs import mean_colour


def test_look_tells_what_was_seen_or_why_not(parts: FakeParts, tmp_path: Path) -> None:
    with PictureServer() as server:
        chosen = PictureSettings(
            model="onnx",
            onnx_path=mean_colour(tmp_path / "eye.onnx"),
            projections=(tmp_path / "p.npz",),
            allow_private=("127.0.0.1/32",),
            ports=(server.port,),
        )
        parts.settings = Settings(pictures=chosen)
        seen = run(parts, "pictures", "look", server.url("/good.jpg"), "--json")
        assert seen.exit_code == 0
        assert json.loads(seen.stdout)["bytes"] == len(jpeg())
        assert "JPEG" in run(parts, "pictures", "look", server.url("/good.jpg")).stdout
        for path, reason in (("/bomb.png", "too_many_pixels"), ("/gone.jpg", "missing"), ("/to?to=http://127.0.0.2/", "port")):
            refused = run(parts, "pictures", "look", server.url(path), "--json")
            assert (refused.exit_code, json.loads(refused.stdout)["reason"]) == (1, reason)
        assert run(parts, "pictures", "look", "http://169.254.169.254/latest").stdout.startswith("refused: port")


def test_look_keeps_to_public_addresses_by_default(parts: FakeParts) -> None:
    refused = run(parts, "pictures", "look", "http://169.254.169.254/latest", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["reason"]) == (1, "private_address")


def test_publish_puts_a_picture_into_the_message(parts: FakeParts, tmp_path: Path) -> None:
    (tmp_path / "cup.jpg").write_bytes(jpeg())
    result = run(parts, "publish", "item", "sku-1", "--title", "Cup", "--image", str(tmp_path / "cup.jpg"))
    assert result.exit_code == 0, result.stderr
    [(_, _, value)] = parts.memory_broker.sent
    assert value is not None
    assert from_base64(json.loads(value)["image"]) == jpeg()
