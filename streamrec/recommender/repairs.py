"""From what is wrong in published lists to the patches that mend them, and from lists that others left to what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from streamrec.lists.edits import Lines, ListEdits
from streamrec.lists.layout import Layout, measure
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.packing import HEAD_BYTES, RankedList, encode_scores, encode_value, read_made_at, unpack_or_none
from streamrec.lists.publish import recalled
from streamrec.lists.visitors import ListPatches
from streamrec.ranking import Ranking, Reason, empty_ranking, reason_text
from streamrec.recommender.knowledge import Knowledge

#: Where in a list the digits of its ``made_at`` stand.
_MADE_AT: Final = len('{"made_at":')
#: What stands behind an item where there is no byte for a comma, where none is needed, and where one is.
_ENDS: Final = (b"", b" ", b",")
#: What a ranking has where its list has a blank.
_EMPTY: Final[dict[str, Any]] = {"rows": -1, "scores": 0, "reasons": 0, "evidence": -1}
_SEARCH: Final = int(Reason.SEARCH)


class Repair(NamedTuple):
    """Edits, the patches that do them, and the (m,) ``made_at`` of their lists from then on, in ms."""

    edits: ListEdits
    made_at: NDArray[np.int64]
    patches: ListPatches


def repairs(
    knowledge: Knowledge, matrix: ListMatrix, blocks: Iterable[Lines], hidden: NDArray[np.bool_], unfit: list[Lines]
) -> Iterator[Repair]:
    """Yield what makes the published lists on the lines what they should be, block by block; no line is in two blocks.

    A list that somebody else wrote gets another ``made_at``, so that whoever wrote it notices. ``unfit`` gets the lines whose list
    has no room for what should stand there, as scores were changed since it was written: they are left alone.
    """
    for lines in blocks:
        edits = matrix.edits(lines, hidden)
        texts = _texts(knowledge, matrix, edits)
        missing = np.array([text is None for text in texts], np.bool_)
        if missing.any():
            fits = np.ones(len(edits.lines), np.bool_)
            written = np.repeat(np.arange(len(fits)), edits.counts)[edits.comes | edits.comma]
            fits[written[missing]] = False
            unfit.append(edits.lines[~fits])
            texts = [text for text, fit in zip(texts, fits[written].tolist(), strict=True) if fit]
            edits = edits.only(fits)
        if len(edits.lines):
            yield _repair(matrix, edits, texts)


def _texts(knowledge: Knowledge, matrix: ListMatrix, edits: ListEdits) -> list[bytes | None]:
    """Return what each edit writes that writes more than blanks, None for an item that has not enough room."""
    writes = np.flatnonzero(edits.comes | edits.comma)
    comes = edits.comes[writes]
    items = _items(knowledge, matrix, edits.of[writes[comes]], edits.places[writes[comes]])
    rooms = np.where(comes, edits.sizes[writes] - edits.behind[writes], 0).tolist()
    ends = [_ENDS[end] for end in np.where(edits.comma[writes], 2, edits.behind[writes]).tolist()]
    return [_fitted(next(items) if room else b"", room, end) for room, end in zip(rooms, ends, strict=True)]


def _fitted(text: bytes, room: int, end: bytes) -> bytes | None:
    if len(text) == room:
        return text + end
    # Blanks within the item: its comma stands right behind it.
    return text[:-1] + b" " * (room - len(text)) + text[-1:] + end if len(text) < room else None


def _items(knowledge: Knowledge, matrix: ListMatrix, lines: Lines, places: NDArray[np.intp]) -> Iterator[bytes]:
    """Yield the items at places as they are published; of many lists few items and reasons differ, so that these are kept."""
    rows, scores = matrix.at("rows", lines, places), encode_scores(matrix.at("scores", lines, places))
    met = np.unique(rows)
    begins = {
        row: b'{"id":' + encode_value(item_id) + b',"score":'
        for row, item_id in zip(met.tolist(), knowledge.items.ids(met), strict=True)
    }
    ends: dict[tuple[int, int, str], bytes] = {}
    reasons, evidence = matrix.at("reasons", lines, places).tolist(), matrix.at("evidence", lines, places).tolist()
    for row, score, reason, of, line in zip(rows.tolist(), scores, reasons, evidence, lines.tolist(), strict=True):
        told = (reason, of, matrix.query(line) if reason == _SEARCH else "")
        end = ends.get(told)
        if end is None:
            why = reason_text(reason, of, knowledge.items, knowledge.campaigns, told[2])
            end = ends[told] = b',"why":' + encode_value(why) + b"}"
        yield begins[row] + score + end


def _repair(matrix: ListMatrix, edits: ListEdits, texts: Sequence[bytes | None]) -> Repair:
    stood = matrix.made_at_of(edits.lines)
    counts, offsets, sizes, told = edits.counts, edits.offsets, edits.sizes, edits.comes | edits.comma
    made_at, marked = _next_made_at(stood, matrix.taken_over(edits.lines))
    if len(marked):
        # The first patch of each such list.
        at = (np.cumsum(counts) - counts)[marked]
        digits = [b"%d" % moment for moment in made_at[marked].tolist()]
        whole = np.full(len(told), None, object)
        whole[told] = texts
        whole, told = np.insert(whole, at, digits), np.insert(told, at, True)
        offsets, sizes = np.insert(offsets, at, _MADE_AT), np.insert(sizes, at, [len(text) for text in digits])
        texts, counts = whole[told].tolist(), counts.copy()
        counts[marked] += 1
    users = [matrix.user(line) for line in edits.lines.tolist()]
    text_of = np.where(told, np.cumsum(told) - 1, -1)
    return Repair(
        edits, made_at, ListPatches(users, stood, edits.length, counts, offsets, sizes, text_of, cast("list[bytes]", texts))
    )


def _next_made_at(stood: NDArray[np.int64], taken_over: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the (m,) ``made_at`` that lists get, and which of them get another one: there must be room for its digits."""
    marked = np.array([n for n in np.flatnonzero(taken_over).tolist() if len(str(stood[n])) == len(str(stood[n] + 1))], np.intp)
    made_at = stood.copy()
    made_at[marked] += 1
    return made_at, marked


class Recalled(NamedTuple):
    """What is known of a list that stands."""

    #: None where it is known already; with row -1 where the list has a blank.
    ranking: Ranking | None
    layout: Layout | None
    #: In ms.
    made_at: int
    #: Whether it needs no ranking.
    stays: bool


def recall(
    knowledge: Knowledge, matrix: ListMatrix, users: Sequence[str], values: Sequence[bytes | None], now_ms: int
) -> list[Recalled]:
    """Return what is known of these visitors' lists, whose ``values`` stand in the store."""
    lists = [unpack_or_none(value) for value in values]
    known = iter(recalled([ranked for ranked in lists if ranked is not None], knowledge.items, knowledge.campaigns))
    return [
        _nothing(value)
        if ranked is None or value is None
        else _recall(knowledge, matrix, user_id, value, ranked, next(known), now_ms)
        for user_id, value, ranked in zip(users, values, lists, strict=True)
    ]


def _nothing(value: bytes | None) -> Recalled:
    return Recalled(empty_ranking(), None, read_made_at(value[:HEAD_BYTES]) if value else 0, stays=False)


def _recall(  # noqa: PLR0917 - recall names them
    knowledge: Knowledge, matrix: ListMatrix, user_id: str, value: bytes, ranked: RankedList, ranking: Ranking | None, now_ms: int
) -> Recalled:
    layout = measure(value)
    if ranking is None or layout is None or len(layout.sizes) > knowledge.ranked_size or layout.shown.sum() != len(ranking):
        return Recalled(empty_ranking(), None, ranked.made_at, stays=False)
    if matrix.recognise(user_id, ranking.rows, layout, ranked.made_at):
        return Recalled(None, layout, ranked.made_at, stays=True)
    stays = (
        matrix.made_at(user_id) <= ranked.made_at
        and len(ranking) >= knowledge.list_size
        and (ranked.variant, ranked.digest) == knowledge.stamp(user_id)
        and knowledge.campaigns_stand(ranking, ranked.made_at, now_ms)
    )
    return Recalled(_with_blanks(ranking, layout.shown), layout, ranked.made_at, stays)


def _with_blanks(ranking: Ranking, shown: NDArray[np.bool_]) -> Ranking:
    if shown.all():
        return ranking
    columns: dict[str, Any] = {}
    for name, empty in _EMPTY.items():
        values = getattr(ranking, name)
        columns[name] = np.full(len(shown), empty, values.dtype)
        columns[name][shown] = values
    return replace(ranking, **columns)
