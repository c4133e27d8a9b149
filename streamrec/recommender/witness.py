"""What the aggregator is told of a visitor's event: what was met beside what, and that new items were shown."""

from __future__ import annotations

from copy import deepcopy

from streamrec.candidates import Crowds, activities, visitor_hash
from streamrec.events import Event, Impressions, ItemActivity
from streamrec.profiles import Profile
from streamrec.recommender.knowledge import Knowledge


class Witness:
    """Tells of events that are new to their visitor's profile; of crowds that all do the same only the first visitors'."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._crowds = Crowds(knowledge.abuse.max_alike, knowledge.abuse.alike_window_s)

    def go_on_from(self, other: Witness) -> None:
        """Know which crowds another one met."""
        self._crowds = deepcopy(other._crowds)

    def tell(self, user_id: str, profile: Profile, event: Event) -> list[tuple[str, ItemActivity]]:
        """Return (item id, activity) messages for an event that the profile already holds."""
        if isinstance(event, Impressions):
            return self._shown(user_id, event)
        told = activities(user_id, profile, event)
        if told and not self._crowds.passes(visitor_hash(user_id), (i.item_id for i in profile.recent), event.ts):
            return []
        return told

    def _shown(self, user_id: str, event: Impressions) -> list[tuple[str, ItemActivity]]:
        """Tell only of items whose impressions are counted: there would be a message for each item of each page."""
        visitor = visitor_hash(user_id)
        # To an aggregator that does not know of impressions it is an echo without neighbours, which says nothing.
        activity = ItemActivity(visitor=visitor, kind="click", ts=event.ts, neighbours=(), echo=True, shown=True)
        return [(item_id, activity) for item_id in self._knowledge.explored(event.item_ids, event.ts)]
