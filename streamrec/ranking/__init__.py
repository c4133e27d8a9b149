"""Candidates to lists: score, boost, diversify, explore, filter, explain."""

from streamrec.ranking.ranker import Ranker
from streamrec.ranking.reasons import Ranking, Reason, empty_ranking, reason_text

__all__ = ["Ranker", "Ranking", "Reason", "empty_ranking", "reason_text"]
