"""Keeps every visitor's list true: events make lists, changes of stock, price, catalogue and campaigns repair them."""

from streamrec.recommender.campaign_guard import CampaignGuard
from streamrec.recommender.fallbacks import Fallbacks
from streamrec.recommender.knowledge import Changes, Knowledge
from streamrec.recommender.lessons import Lessons
from streamrec.recommender.pin_board import PinBoard
from streamrec.recommender.questions import Question, read_question
from streamrec.recommender.recovery import Recovery
from streamrec.recommender.share import Share, Whole
from streamrec.recommender.upkeep import Upkeep
from streamrec.recommender.visits import Visits
from streamrec.recommender.witness import Witness

__all__ = [
    "CampaignGuard",
    "Changes",
    "Fallbacks",
    "Knowledge",
    "Lessons",
    "PinBoard",
    "Question",
    "Recovery",
    "Share",
    "Upkeep",
    "Visits",
    "Whole",
    "Witness",
    "read_question",
]
