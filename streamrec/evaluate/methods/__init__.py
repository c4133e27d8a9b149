"""Methods that are measured, by name: ours, and what shops use today. What is not installed is named with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streamrec.config import Settings
from streamrec.evaluate.methods import factorisation
from streamrec.evaluate.methods.ablation import EXTRAS, PARTS
from streamrec.evaluate.methods.content import Content
from streamrec.evaluate.methods.covisitation import ItemKnn, LastItem
from streamrec.evaluate.methods.popular import Popular, RecentPopular
from streamrec.evaluate.methods.port import Method
from streamrec.evaluate.methods.shop import Shop, Streamrec
from streamrec.evaluate.methods.vmis_knn import VmisKnn
from streamrec.evaluate.streams import Stream
from streamrec.evaluate.texts import StreamTexts

__all__ = ["METHODS", "OURS", "Method", "Parts", "ablations", "build"]

OURS: Final = "streamrec"


@dataclass(frozen=True)
class Parts:
    """What methods are built from."""

    settings: Settings
    stream: Stream
    #: None where the items of the stream have no text.
    texts: StreamTexts | None
    #: Seconds of event time between two fits of a method that cannot learn from single events.
    refit_s: float


def _content(parts: Parts) -> Method | str:
    return Content(parts.texts) if parts.texts else "the stream's items have no text"


def _als(parts: Parts) -> Method | str:
    return factorisation.missing() or factorisation.Als(parts.refit_s)


def _bpr(parts: Parts) -> Method | str:
    return factorisation.missing() or factorisation.Bpr(parts.refit_s)


#: Name → what builds the method, or says why it cannot be measured.
METHODS: Final[dict[str, Callable[[Parts], Method | str]]] = {
    OURS: lambda parts: Streamrec(Shop(parts.settings, parts.texts)),
    "popular": lambda _: Popular(),
    "recent_popular": lambda _: RecentPopular(),
    "last_item": lambda _: LastItem(),
    "item_knn": lambda _: ItemKnn(),
    "vmis_knn": lambda _: VmisKnn(),
    "content": _content,
    "als": _als,
    "bpr": _bpr,
}


def build(names: tuple[str, ...], parts: Parts) -> tuple[dict[str, Method], dict[str, str]]:
    """Return the methods by name, and the names of those that cannot be measured with the reason."""
    built = {name: METHODS[name](parts) for name in names}
    return (
        {name: method for name, method in built.items() if not isinstance(method, str)},
        {name: method for name, method in built.items() if isinstance(method, str)},
    )


def ablations(whole: Method) -> dict[str, Method]:
    """Return our ranking without each of its parts, and with those that are off by default.

    All read the state of ``whole``, so they cost lists and no learning.

    Nothing where ``whole`` is not ours.
    """
    if not isinstance(whole, Streamrec):
        return {}
    named = {f"without {part}": changes for part, changes in PARTS.items()}
    named |= {f"with {part}": changes for part, changes in EXTRAS.items()}
    return {name: Streamrec(whole.shop, **changes) for name, changes in named.items()}
