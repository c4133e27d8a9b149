"""Real titles in several languages, as many of each source."""

from __future__ import annotations

from itertools import chain, zip_longest
from pathlib import Path
from random import Random

from streamrec.bench.catalogue.titles import titles_by_source
from streamrec.embedding import item_text
from streamrec.errors import DataError


def draw(n: int, folder: Path | None) -> dict[str, list[str]]:
    """Return at most ``n`` distinct texts by source, the same ones each time, evenly drawn as long as each source has some left.

    Sources are the data sets in ``folder`` and The Complete Journey. Raises DataError where there are none.
    """
    drawn: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name, titles in titles_by_source(folder).items():
        texts = sorted({item_text(title.item()) for title in titles} - seen - {""})
        seen.update(texts)
        Random(1).shuffle(texts)
        drawn[name] = texts[:n]
    if not any(drawn.values()):
        msg = "there are no titles; install streamrec[demo] or name a folder of them with --data"
        raise DataError(msg)
    turns = chain.from_iterable(zip_longest(*([(name, text) for text in texts] for name, texts in drawn.items())))
    chosen: dict[str, list[str]] = {name: [] for name in drawn}
    for name, text in [one for one in turns if one is not None][:n]:
        chosen[name].append(text)
    return {name: texts for name, texts in chosen.items() if texts}


def mixed(sources: dict[str, list[str]]) -> list[str]:
    """Return all texts of the sources in a fixed random order, as a shop's changes come in."""
    texts = list(chain.from_iterable(sources.values()))
    Random(2).shuffle(texts)
    return texts
