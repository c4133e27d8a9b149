"""Why an item stands in a visitor's list, or why it does not: read off the very trace that makes the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from streamrec.ranking.reasons import reason_text
from streamrec.ranking.score import PARTS

if TYPE_CHECKING:
    from streamrec.ranking.ranker import Ranker, Trace


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to "why this item for this visitor", as it is at one moment."""

    item_id: str
    shown: bool
    #: 1 is the first; 0 when it is not shown.
    position: int = 0
    #: What it scores, or would score if it were a candidate.
    score: float = 0.0
    #: Reason text as in the list, e.g. ``content:<item>``.
    why: str = ""
    #: Score parts by name, weights included; ``shown`` is what impressions take away; their sum is multiplied by
    #: ``clicked_category``, above 1 where the visitor clicked in the item's category in this session, and by ``campaigns``.
    parts: dict[str, float] = {}
    #: By what the configured weights of parts are multiplied, because clicks taught it; ``parts`` hold it. Empty where none did.
    learnt: dict[str, float] = {}
    #: Sentences; for a shown item what put it there, else everything that keeps it out.
    reasons: list[str] = []
    #: As lists of the visitor carry it; empty where nobody was asked for a visitor's.
    variant: str = ""


def explain_unknown(item_id: str) -> Explanation:
    """Explain an item of which nothing was ever heard."""
    return Explanation(item_id=item_id, shown=False, reasons=["not in the catalogue"])


def explain(ranker: Ranker, trace: Trace, row: int, size: int) -> Explanation:
    """Explain a row that the trace was asked about."""
    position = int(np.searchsorted(trace.rows, row))
    chosen = trace.selection.chosen
    slot = chosen.index(position) + 1 if position in chosen else 0
    scores = trace.scores
    parts = {part.name.lower(): round(float(scores.parts[i, position]), 6) for i, part in enumerate(PARTS)}
    parts["shown"] = -round(float(scores.penalty[position]), 6)
    parts["clicked_category"] = round(float(scores.eased[position]), 6)
    parts["campaigns"] = round(float(scores.multiplier[position]), 6)
    reasons = _why_shown(ranker, trace, position, slot) if slot else _why_not(ranker, trace, row, position, size)
    return Explanation(
        item_id=ranker.items.id(row),
        shown=bool(slot),
        position=slot,
        score=round(float(scores.total[position]), 6),
        why=ranker.ranking(trace).why(ranker.items, ranker.campaigns)[slot - 1] if slot else "",
        parts=parts,
        learnt=_learnt(ranker, trace.wish.placement),
        reasons=reasons,
    )


def _learnt(ranker: Ranker, placement: str) -> dict[str, float]:
    factors = ranker.learnt.get(placement) if ranker.settings.learnt else None
    if factors is None:
        return {}
    return {part.name.lower(): round(float(factor), 4) for part, factor in zip(PARTS, factors, strict=True) if factor != 1.0}


def _why_shown(ranker: Ranker, trace: Trace, position: int, slot: int) -> list[str]:
    how = trace.selection.how[slot - 1]
    if how == "pin":
        campaign = dict(trace.pins.values())[position]
        return [f"pinned to slot {slot} by campaign {ranker.campaigns.name(campaign)}"]
    rank = trace.order.tolist().index(position) + 1
    sentences = {
        "score": f"ranked {_nth(rank)} of {len(trace.order)} candidates by its score",
        "explore": f"slot {slot} is kept for new items, and it is the best of them; by its score it is {_nth(rank)}",
        "overflow": f"{_cap(ranker, trace, position)}, but without it the list would be short",
    }
    text = reason_text(
        int(trace.scores.reasons[position]),
        int(trace.evidence[position]),
        ranker.items,
        ranker.campaigns,
        trace.wish.taste.query,
    )
    return [sentences[how], f"what speaks for it most: {text}"]


def _why_not(ranker: Ranker, trace: Trace, row: int, position: int, size: int) -> list[str]:
    filters = _filters(ranker, trace, row)
    notes = ["no vector yet: it can be found by what others met or bought, not by its content"] if row not in ranker.index else []
    if filters:
        return filters + notes
    if not trace.organic[position]:
        return [_not_a_candidate(trace, position), *notes]
    rank = trace.order.tolist().index(position) + 1
    if position in trace.selection.capped:
        return [f"{_cap(ranker, trace, position)}; by its score it is {_nth(rank)}", *notes]
    return [f"ranked {_nth(rank)}, below the list of {size}; the last place went to a score of {_last_score(trace):.4f}", *notes]


def _filters(ranker: Ranker, trace: Trace, row: int) -> list[str]:
    """Return a sentence for every rule that keeps the item out, not only the first."""
    items, effects, hidden = ranker.items, trace.scene.effects, trace.hidden
    reasons = []
    if not items.listed[row]:
        reasons.append("not in the catalogue")
    if items.quantity[row] == 0:
        reasons.append("sold out")
    if effects.excluded[row]:
        reasons.append(f"excluded by campaign {ranker.campaigns.name(int(effects.excluded_by[row]))}")
    if row in hidden.bought:
        when = np.datetime64(trace.wish.profile.bought[items.id(row)], "ms").astype("datetime64[D]")
        reasons.append(f"bought on {when}, hidden for {ranker.settings.hide_bought_days:g} days")
    if row in hidden.in_cart:
        reasons.append("in the cart")
    if row in hidden.clicked:
        reasons.append("opened before, and opened items are hidden")
    return reasons


def _not_a_candidate(trace: Trace, position: int) -> str:
    score, would = (
        float(trace.scores.total[position]),
        int((trace.scores.total[trace.order] > trace.scores.total[position]).sum()) + 1,
    )
    return (
        "not a candidate: not near to the visitor's interests or latest query, not met together with what the visitor met, and not "
        f"among the popular, the new or the boosted; it would score {score:.4f}, {_nth(would)} of the candidates"
    )


def _cap(ranker: Ranker, trace: Trace, position: int) -> str:
    """Name the cap that the item ran into: whichever is full in the list."""
    items, settings = ranker.items, ranker.settings
    row, listed = trace.rows[position], trace.rows[trace.selection.chosen]
    category = int(items.category[row])
    if category and int((items.category[listed] == category).sum()) >= settings.max_per_category:
        return f"the list already has {settings.max_per_category} items of category {items.categories.name(category)!r}, its cap"
    return f"the list already has {settings.max_per_brand} items of brand {items.brands.name(int(items.brand[row]))!r}, its cap"


def _last_score(trace: Trace) -> float:
    ordinary = [p for p, how in zip(trace.selection.chosen, trace.selection.how, strict=True) if how == "score"]
    return float(trace.scores.total[ordinary[-1]]) if ordinary else 0.0


def _nth(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
