"""Boosts and buries laid over what is ranked: scores are multiplied and lists sorted again, long before all can be ranked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.lists.matrix import ListMatrix
from streamrec.ranking import Ranking, Reason

#: Lists sorted in one step, and published in one; events come in between.
_BLOCK: Final = 128


def latest_holding(matrix: ListMatrix, item_rows: NDArray[np.int32], since_ms: int, n: int) -> list[str]:
    """Return the ``n`` visitors put last who hold any of the items in a list made by ``since_ms``, the last first."""
    lines = matrix.latest(matrix.lines_holding(item_rows))
    return [matrix.user(line) for line in lines[matrix.made_at_of(lines) <= since_ms][:n].tolist()]


def overlaid(  # noqa: PLR0917 - its caller names them
    matrix: ListMatrix,
    users: Sequence[str],
    factors: NDArray[np.float32],
    since_ms: int,
    pinning: Sequence[int],
    explore_every: Callable[[str], int],
) -> Iterator[list[tuple[str, Ranking]]]:
    """Multiply these visitors' scores by ``factors`` (n_items,), and yield, in blocks, the lists whose order changed by it.

    Between two blocks other work may be done: visitors who are dropped, or whose list is made later than ``since_ms``, are left
    out. Scores are changed in the matrix, the order is not: that is for who publishes. Items that have their place by rule and not
    by score, pinned by one of the campaigns numbered ``pinning`` or put into every so-many-th place for being new, keep it;
    ``explore_every`` tells of a visitor which places these are, 0: none. What campaigns bring in from outside the list is not seen
    here, so each list is to be ranked again all the same.
    """
    for start in range(0, len(users), _BLOCK):
        part = [user_id for user_id in users[start : start + _BLOCK] if user_id in matrix and matrix.made_at(user_id) <= since_ms]
        lines = matrix.lines_of(part)
        rows, scores, reasons, evidence = matrix.ranked(lines)
        known = np.where(rows < len(factors), rows, -1)
        scores *= np.where(known >= 0, factors[known], 1)
        matrix.rescore(lines, scores)
        fixed = (rows < 0) | ((reasons == Reason.CAMPAIGN) & np.isin(evidence, pinning))
        every = np.array([explore_every(user_id) for user_id in part], np.intp)[:, None]
        exploring = (every > 0) & ((np.arange(rows.shape[1]) + 1) % np.maximum(every, 1) == 0)
        fixed |= exploring & (reasons == Reason.NEW)
        order = order_of(scores, fixed)
        moved = np.flatnonzero((order != np.arange(order.shape[1])).any(axis=1)).tolist()
        yield [(part[n], _sorted(matrix.ranking(int(lines[n])), order[n], rows[n])) for n in moved]


def order_of(scores: NDArray[np.float32], fixed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return (m, k) which place comes where: best score first, equal ones as they stood, ``fixed`` ones where they were.

    >>> order_of(np.array([[1, 3, 2, 4]], np.float32), np.array([[False, True, False, False]]))
    array([[3, 1, 2, 0]])
    """
    # Both have the fixed places last, in the same order.
    best = np.argsort(np.where(fixed, np.inf, -scores), axis=1, kind="stable")
    free = np.argsort(fixed, axis=1, kind="stable")
    order = np.empty_like(best)
    np.put_along_axis(order, free, best, axis=1)
    return order


def pinning(book: CampaignBook, now_ms: int) -> list[int]:
    """Return the numbers of the pins in the book that have not ended."""
    return [book.number(name) for name, campaign in book.coming(now_ms).items() if campaign.action == "pin"]


def _sorted(ranking: Ranking, order: NDArray[np.intp], rows: NDArray[np.int32]) -> Ranking:
    """``order`` and ``rows`` are (k,) of places, ``ranking`` has none for those that are empty."""
    number = np.cumsum(rows >= 0) - 1
    mine = number[order[rows[order] >= 0]]
    columns = {name: getattr(ranking, name)[mine] for name in ("rows", "scores", "reasons", "evidence")}
    return replace(ranking, **columns)
