"""The settings of pictures: ``STREAMREC_PICTURES__*``."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from streamrec.section import Section


class PictureSettings(Section):
    """What items look like: pictures are fetched, seen by an image encoder, and move their items' vectors. Off without a model."""

    model: Literal["", "efficientnet-lite0", "onnx"] = Field(
        "", description="empty: pictures are off; onnx: the graph of onnx_path, seen as the settings below say"
    )
    projections: tuple[Path, ...] = Field(
        (), description="JSON list: a file by `streamrec pictures fit` for each text encoder whose vectors pictures move"
    )
    weight: float = Field(0.4, gt=0, lt=1, description="of the picture in an item's vector; of the text: 1 - it")
    onnx_path: Path | None = Field(None, description="a graph with one input, pixels, whose first output is features")
    input_size: int = Field(128, ge=16, le=1024, description="pixels; pictures are scaled to a square of this width")
    mean: tuple[float, float, float] = Field((127.0, 127.0, 127.0), description="taken from each channel's values, 0 to 255")
    std: tuple[float, float, float] = Field((128.0, 128.0, 128.0), description="what they are then divided by")
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    pooling: Literal["none", "mean", "cls"] = Field(
        "none", description="of the output; none: (n, features); mean: over places; cls: the first of (n, places, features)"
    )
    provider: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(1, ge=0, description="of the image encoder; 0: one per core")
    max_bytes: int = Field(5 << 20, ge=1024, description="a longer answer is refused as soon as that is known")
    max_pixels: int = Field(32_000_000, ge=1024, description="a picture that says to have more is not decoded")
    connect_timeout_s: float = Field(3.0, gt=0)
    total_timeout_s: float = Field(15.0, gt=0, le=50, description="of one try: name, connection, redirects and the last byte")
    max_redirects: int = Field(3, ge=0, le=10)
    ports: tuple[int, ...] = Field((80, 443), description="JSON list of the ports that may be asked")
    allow_private: tuple[str, ...] = Field(
        (), description='JSON list of networks that may be asked though they are not public, such as ["10.1.2.0/24"]'
    )
    concurrency: int = Field(32, ge=1, description="fetches at once")
    per_host: int = Field(4, ge=1, description="and from one host")
    attempts: int = Field(3, ge=1, le=10, description="when a server is slow, away, or says 429 or 5xx")
    backoff_s: float = Field(1.0, gt=0, description="before the second try; four times as long before each next one")
    refused_for_s: float = Field(3600.0, ge=0, description="so long a picture that was refused is not asked for again")
    user_agent: str = "streamrec-pictures"
    cache_dir: Path | None = Field(None, description="features of pictures by their content; empty: pictures/ in model.cache_dir")
    max_cached: int = Field(500_000, ge=1, description="pictures in it, 2.6 kB each with efficientnet-lite0")
    max_waiting: int = Field(1000, ge=1, description="pictures that one embedder waits for; past it no further are read")

    @field_validator("allow_private")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            ip_network(one)
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model and not self.projections:
            raise ValueError("pictures.model needs pictures.projections; `streamrec pictures fit` writes one")
        if (self.model == "onnx") != (self.onnx_path is not None):
            raise ValueError("pictures.onnx_path belongs to pictures.model=onnx, which needs it; set both or neither")
        return self
