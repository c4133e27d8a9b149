"""From what is wrong in published lists to the edits that mend them, and from lists that others left to what is known of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.lists.edits import Lines, ListEdits
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.packing import ListItem, RankedList, round_scores
from streamrec.lists.publish import recalled
from streamrec.lists.visitors import Amendment, Edit
from streamrec.ranking import Ranking, empty_ranking, reason_text
from streamrec.recommender.knowledge import Knowledge

#: Lines compared at once: some ms, while the store edits those before.
_STEP: Final = 1024


def amendments(
    knowledge: Knowledge, matrix: ListMatrix, lines: Lines, hidden: NDArray[np.bool_], made: list[ListEdits]
) -> Iterator[Amendment]:
    """Yield what makes the published lists on the lines what they should be; ``made`` gets the edits as they are made.

    Each yields the very text that publishing the whole list anew would.
    """
    for start in range(0, len(lines), _STEP):
        edits = matrix.edits(lines[start : start + _STEP], hidden)
        made.append(edits)
        steps = iter(_steps(knowledge, matrix, edits))
        users, times = map(matrix.user, edits.lines.tolist()), matrix.made_at_of(edits.lines)
        for user_id, made_at, count in zip(users, times, edits.counts.tolist(), strict=True):
            yield Amendment(user_id, made_at, [next(steps) for _ in range(count)])


def _steps(knowledge: Knowledge, matrix: ListMatrix, edits: ListEdits) -> list[Edit]:
    lines, items = edits.of, knowledge.items
    last = edits.shown.shape[1] - 1
    steps = [Edit(item_id) for item_id in items.ids(matrix.at("rows", lines, edits.before.clip(max=last)))]
    comes = np.flatnonzero(edits.comes)
    at_end = (edits.before[comes] > last).tolist()
    for n, ends, item in zip(comes.tolist(), at_end, _items(knowledge, matrix, lines[comes], edits.places[comes]), strict=True):
        steps[n] = Edit("" if ends else steps[n].id, item)
    return steps


def _items(knowledge: Knowledge, matrix: ListMatrix, lines: Lines, places: NDArray[np.intp]) -> Iterator[ListItem]:
    """Yield the items at places as they are published."""
    ids = knowledge.items.ids(matrix.at("rows", lines, places))
    scores = round_scores(matrix.at("scores", lines, places))
    reasons, evidence = matrix.at("reasons", lines, places).tolist(), matrix.at("evidence", lines, places).tolist()
    for item_id, score, reason, of, line in zip(ids, scores, reasons, evidence, lines.tolist(), strict=True):
        yield ListItem(item_id, score, reason_text(reason, of, knowledge.items, knowledge.campaigns, matrix.query(line)))


def recall(knowledge: Knowledge, matrix: ListMatrix, user_id: str, ranked: RankedList, now_ms: int) -> tuple[Ranking | None, bool]:
    """Return what a list that stands was made from, None where that is known, and whether it needs no ranking."""
    ranking = recalled(ranked, knowledge.items, knowledge.campaigns)
    if ranking is None:
        return empty_ranking(), False
    if matrix.recognise(user_id, ranking.rows, ranked.made_at):
        return None, True
    return ranking, (
        matrix.made_at(user_id) <= ranked.made_at
        and len(ranking) >= knowledge.list_size
        and ranked.digest == knowledge.digest
        and knowledge.campaigns_stand(ranking, ranked.made_at, now_ms)
    )
