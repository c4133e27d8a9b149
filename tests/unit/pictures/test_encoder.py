"""Any image encoder by configuration, and the built-in one."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image
from pydantic import ValidationError

from streamrec.clock import ManualClock
from streamrec.config import Settings
from streamrec.errors import ModelError
from streamrec.pictures import efficientnet, efficientnet_graph
from streamrec.pictures.encoder import PictureEncoder, load_eye, pool
from streamrec.pictures.opening import load_projection, open_pictures
from streamrec.pictures.settings import PictureSettings
from tests.encoders import model_cache
from tests.picture_server import encoded
from tests.unit.pictures.eyes import TEXT, projection
from tests.unit.pictures.graphs import mean_colour, the_pixels

RED = encoded("PNG", (200, 30, 90))


def settings(graph: Path, **own: Any) -> PictureSettings:
    plain = {"projections": (Path("p.npz"),), "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "input_size": 16}
    return PictureSettings(model="onnx", onnx_path=graph, **plain | own)


def seen(graph: Path, **own: Any) -> np.ndarray:
    chosen = settings(graph, **own)
    eye = load_eye(chosen, graph.parent)
    [row] = eye.see([eye.look(RED)])
    return np.asarray(row)


def test_the_settings_say_what_the_graph_is_given(tmp_path: Path) -> None:
    graph = mean_colour(tmp_path / "eye.onnx")
    np.testing.assert_allclose(seen(graph), (200, 30, 90), atol=0.5)
    np.testing.assert_allclose(seen(graph, channels="bgr"), (90, 30, 200), atol=0.5)
    np.testing.assert_allclose(seen(graph, mean=(100.0, 20.0, 80.0), std=(10.0, 5.0, 2.0)), (10, 2, 5), atol=0.5)


def test_maps_and_tokens_are_pooled(tmp_path: Path) -> None:
    first = the_pixels(tmp_path / "nchw.onnx", ["n", 3, "h", "w"])
    np.testing.assert_allclose(seen(first, pooling="mean"), (200, 30, 90), atol=0.5)
    last = the_pixels(tmp_path / "nhwc.onnx", ["n", "h", "w", 3])
    np.testing.assert_allclose(seen(last, pooling="mean", layout="nhwc"), (200, 30, 90), atol=0.5)
    tokens = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(pool(tokens, "cls", "nchw"), tokens[:, 0])
    np.testing.assert_array_equal(pool(tokens, "mean", "nchw"), tokens.mean(axis=1))
    with pytest.raises(ModelError, match=r"pictures\.pooling"):
        seen(first)


def test_a_batch_gives_what_its_pictures_give_one_by_one(tmp_path: Path) -> None:
    eye = PictureEncoder(graph := mean_colour(tmp_path / "eye.onnx"), settings(graph))
    pixels = [eye.look(encoded("PNG", (shade, 0, 255 - shade))) for shade in range(0, 250, 6)]
    rows = eye.see(pixels)
    assert rows.shape == (len(pixels), 3)
    np.testing.assert_allclose(rows, np.concatenate([eye.see([one]) for one in pixels]), atol=1e-3)
    assert eye.see([]).shape == (0, 3)


def test_the_digest_changes_with_whatever_changes_the_features(tmp_path: Path) -> None:
    graph = mean_colour(tmp_path / "eye.onnx")
    other = the_pixels(tmp_path / "other.onnx", ["n", 3, "h", "w"])
    varied: list[dict[str, Any]] = [
        {},
        {"input_size": 17},
        {"mean": (1.0, 0.0, 0.0)},
        {"std": (2.0, 1.0, 1.0)},
        {"channels": "bgr"},
    ]
    digests = [PictureEncoder(graph, settings(graph, **own)).digest for own in varied]
    digests.append(PictureEncoder(other, settings(other, pooling="mean")).digest)
    assert len(set(digests)) == len(digests)
    assert PictureEncoder(graph, settings(graph, max_bytes=2000)).digest == digests[0]


def test_files_that_are_missing_or_no_graph_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a file"):
        load_eye(settings(tmp_path / "none.onnx"), tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_eye(settings(tmp_path / "bad.onnx"), tmp_path)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "efficientnet-lite0"}, "streamrec pictures fit"),
        ({"model": "onnx", "projections": ["p.npz"]}, "onnx_path"),
        ({"onnx_path": "a.onnx"}, "onnx_path"),
        ({"allow_private": ["10.0.0.1/8"]}, "host bits"),
        ({"weight": 1.0}, "less than 1"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PictureSettings.model_validate(given)


def test_a_projection_of_another_image_encoder_is_refused(tmp_path: Path) -> None:
    projection().save(tmp_path / "p.npz")
    assert load_projection(tmp_path / "p.npz", "colour").digest == projection().digest
    with pytest.raises(ModelError, match="streamrec pictures fit"):
        load_projection(tmp_path / "p.npz", "other")


def test_one_for_no_text_encoder_in_play_is_told_and_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The model may be changed in flight: then pictures count for none of its vectors until a projection for it is there."""
    chosen = settings(mean_colour(tmp_path / "eye.onnx"), projections=(tmp_path / "p.npz",), cache_dir=tmp_path)
    eye = load_eye(chosen, tmp_path)
    replace(projection(), eye=eye.digest).save(tmp_path / "p.npz")
    for text, told in ((TEXT, 0), ("another", 1)):
        caplog.clear()
        opened = open_pictures(Settings(pictures=chosen), text, clock=ManualClock())
        assert opened is not None
        assert len(caplog.records) == told
        opened.gallery.album.close()


def test_pictures_are_off_without_a_model() -> None:
    assert open_pictures(Settings(), "text", clock=ManualClock()) is None


# -- the built-in one ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eye() -> PictureEncoder:
    chosen = PictureSettings(model="efficientnet-lite0", projections=(Path("p.npz"),), input_size=96)
    return load_eye(chosen, model_cache())


def test_the_built_in_encoder_sees_what_pictures_have_in_common(eye: PictureEncoder) -> None:
    """A disc is nearer to another disc than to stripes, whatever their colours: features are more than colours."""

    def drawn(stripes: bool, colour: tuple[int, int, int]) -> bytes:
        image = Image.new("RGB", (96, 96), "white")
        across, down = np.meshgrid(np.arange(96), np.arange(96))
        mask = (across // 8) % 2 == 0 if stripes else (across - 48) ** 2 + (down - 48) ** 2 < 35**2
        image.paste(colour, mask=Image.fromarray((mask * 255).astype(np.uint8)))
        content = io.BytesIO()
        image.save(content, "PNG")
        return content.getvalue()

    shown = [drawn(stripes, colour) for stripes in (False, True) for colour in ((200, 20, 20), (20, 20, 200))]
    rows = eye.see([eye.look(one) for one in shown])
    assert rows.shape == (4, efficientnet.DIM)
    assert rows.min() >= 0.0
    unit = rows - rows.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    alike = unit @ unit.T
    assert alike[0, 1] > max(alike[0, 2], alike[0, 3])
    assert alike[2, 3] > max(alike[2, 0], alike[2, 1])


def test_batch_norms_that_are_folded_give_what_they_give_apart() -> None:
    """The stem by hand, in numpy, against the graph's own first activation."""
    weights = efficientnet.read_weights(efficientnet.packaged_weights())
    model = efficientnet_graph.build(weights)
    first = next(node for node in model.graph.node if node.op_type == "Clip").output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(first, onnx.TensorProto.FLOAT, ["batch", 32, "h", "w"]))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    [found] = session.run([first], {"pixels": pixels})
    padded = np.pad(pixels[0], ((0, 0), (0, 1), (0, 1)))  # TensorFlow's "same" of an even size: one row behind
    kernel = weights["_conv_stem.weight"]
    scale = weights["_bn0.weight"] / np.sqrt(weights["_bn0.running_var"] + 1e-3)
    for down, across in ((0, 0), (2, 3), (3, 3)):
        window = padded[:, 2 * down : 2 * down + 3, 2 * across : 2 * across + 3]
        plain = np.einsum("ocij,cij->o", kernel, window)
        expected = np.clip((plain - weights["_bn0.running_mean"]) * scale + weights["_bn0.bias"], 0, 6)
        np.testing.assert_allclose(found[0, :, down, across], expected, atol=1e-4)


def test_another_file_of_weights_is_refused_and_nothing_in_it_runs(tmp_path: Path) -> None:
    (tmp_path / "other.pth").write_bytes(b"\x80\x02K\x01.")
    with pytest.raises(ModelError, match="not the file"):
        efficientnet.read_weights(tmp_path / "other.pth")

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    held: list[Any] = [1, 1, {}, OrderedDict(a=Hostile())]
    states = [pickle.dumps(one, protocol=2) for one in held]
    with pytest.raises(ModelError, match="which no array needs"):
        efficientnet._arrays(io.BytesIO(b"".join(states)))
    assert not (tmp_path / "ran").exists()
