"""A model as everybody must understand it: named by settings on one machine, loaded by them on every other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from streamrec.config import ModelSettings
from streamrec.embedding.encoder import Encoder
from streamrec.embedding.registry import load_encoder
from streamrec.errors import ConfigError, ModelError
from streamrec.events import ModelChoice

#: Settings that say how a machine runs a model, and nothing of its vectors.
_OF_THE_MACHINE: Final = frozenset(
    {"cache_dir", "provider", "threads", "batch_tokens", "own", "hub_url", "hub_hosts", "hub_max_bytes"}
)


def choice_of(settings: ModelSettings, encoder: Encoder) -> ModelChoice:
    """Return what others need to load the same model; ``encoder`` is the one that these settings name."""
    plain, default = settings.model_dump(mode="json"), ModelSettings().model_dump(mode="json")
    said = {name: value for name, value in plain.items() if name not in _OF_THE_MACHINE and value != default[name]}
    return ModelChoice(settings=said | {"name": settings.name}, digest=encoder.digest, dim=encoder.dim)


def of_the_machine(own: ModelSettings) -> dict[str, Any]:
    """Return the settings that are the same for every model here."""
    return {name: getattr(own, name) for name in sorted(_OF_THE_MACHINE)}


def settings_of(choice: ModelChoice, own: ModelSettings) -> ModelSettings:
    """Return the settings that load the model here, on ``own``'s device. Raises ConfigError for what this version cannot read."""
    try:
        return ModelSettings.model_validate(of_the_machine(own) | choice.settings)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
        msg = f"the model {choice.name} is described by settings that this version cannot read ({names}); bring it up to date"
        raise ConfigError(msg) from None


class LazyEncoder:
    """The encoder of a choice, opened when it is first needed or told to; what it is called is known before.

    ``load`` turns settings into an encoder. Safe from several threads.
    """

    def __init__(self, choice: ModelChoice, own: ModelSettings, load: Callable[[ModelSettings], Encoder] = load_encoder) -> None:
        self.choice = choice
        self._own = own
        self._load = load
        self._encoder: Encoder | None = None
        self._loading = threading.Lock()

    @property
    def name(self) -> str:
        """The registered name."""
        return self.choice.name

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        return self.choice.dim

    @property
    def digest(self) -> str:
        """The digest that everybody agreed on."""
        return self.choice.digest

    @property
    def loaded(self) -> bool:
        """Whether it can encode without being opened first."""
        return self._encoder is not None

    def load(self) -> Encoder:
        """Open it, once. Raises ModelError or ConfigError when it cannot be opened or is another one here."""
        with self._loading:
            if self._encoder is None:
                encoder = self._load(settings_of(self.choice, self._own))
                if (encoder.digest, encoder.dim) != (self.digest, self.dim):
                    msg = (
                        f"{self.name} has here the digest {encoder.digest} of {encoder.dim} numbers, where `streamrec model use` "
                        f"found {self.digest} of {self.dim}; give this worker the same files and version of it"
                    )
                    raise ModelError(msg)
                self._encoder = encoder
            return self._encoder

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Return (n, dim) float32; see ``Encoder.encode``. Raises as ``load``."""
        return self.load().encode(texts, query=query)


def opened(choice: ModelChoice, encoder: Encoder, own: ModelSettings) -> LazyEncoder:
    """Return the encoder of a choice that is open already."""
    return LazyEncoder(choice, own, lambda _settings: encoder)
