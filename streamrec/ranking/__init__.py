"""Candidates to lists: score, boost, diversify, explore, filter, explain."""

from streamrec.ranking.explain import Explanation
from streamrec.ranking.ranker import Ranker
from streamrec.ranking.reasons import Ranking, Reason, empty_ranking, reason_text

__all__ = ["Explanation", "Ranker", "Ranking", "Reason", "empty_ranking", "reason_text"]
