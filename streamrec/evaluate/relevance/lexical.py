"""BM25 by PyPI's bm25s over words, as a shop's keyword search has it: English words stemmed, Chinese by pairs of characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Runs of Chinese characters, and words of anything else.
_RUN: Final = re.compile(r"[㐀-鿿豈-﫿]+|[^\W_㐀-鿿豈-﫿]+")
_CHINESE: Final = re.compile(r"[㐀-鿿豈-﫿]")


def missing() -> str:
    """Return what is not installed, in words; the empty string where all is."""
    absent = [package for package, module in (("bm25s", "bm25s"), ("PyStemmer", "Stemmer")) if not find_spec(module)]
    return f"{' and '.join(absent)} not installed; run: pip install 'streamrec[bench]'" if absent else ""


def terms(text: str, stem: Callable[[str], str] = str) -> list[str]:
    """Return what a text is indexed and searched by, in its order.

    Words in small letters, stemmed; of a run of Chinese characters, which has no spaces, each two that follow each other, the way
    of Lucene's CJKAnalyzer.

    >>> terms("USB-C hubs 集线器"), terms("书")
    (['usb', 'c', 'hubs', '集线', '线器'], ['书'])
    """
    found: list[str] = []
    for run in _RUN.findall(text.casefold()):
        if not _CHINESE.match(run):
            found.append(stem(run))
        elif len(run) == 1:
            found.append(run)
        else:
            found += [run[place : place + 2] for place in range(len(run) - 1)]
    return found


class Bm25:
    """BM25 in Lucene's form with its usual k1 = 1.2 and b = 0.75 over (n,) texts; the model never changes."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s  # noqa: PLC0415 - of the extra `bench`
        import Stemmer  # noqa: PLC0415

        self._stem: Callable[[str], str] = Stemmer.Stemmer("english").stemWord
        self._model = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
        self._n = len(texts)
        self._model.index([terms(text, self._stem) for text in texts], show_progress=False)

    def scores(self, query: str) -> NDArray[np.float64]:
        """Return each text's score, (n,) float64; 0 where it has no word of the query."""
        known = [term for term in terms(query, self._stem) if term in self._model.vocab_dict]
        if not known:
            return np.zeros(self._n)
        scores: NDArray[np.float64] = self._model.get_scores(known).astype(np.float64)
        return scores
