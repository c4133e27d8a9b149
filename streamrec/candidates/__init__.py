"""Where a list's items come from: the visitor's interests, what others met together, what is popular and what is new."""

from streamrec.candidates.activity import SESSION_MS, activities, visitor_hash
from streamrec.candidates.aggregate import CovisitationAggregator
from streamrec.candidates.covisitation import NeighbourTable, Related, Transitions, from_seeds, transitions
from streamrec.candidates.crowds import Crowds
from streamrec.candidates.fresh import fresh, newness
from streamrec.candidates.interests import Interests, interests
from streamrec.candidates.trending import Trend, trending

__all__ = [
    "SESSION_MS",
    "CovisitationAggregator",
    "Crowds",
    "Interests",
    "NeighbourTable",
    "Related",
    "Transitions",
    "Trend",
    "activities",
    "fresh",
    "from_seeds",
    "interests",
    "newness",
    "transitions",
    "trending",
    "visitor_hash",
]
