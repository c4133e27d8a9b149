"""What is known of a visitor: bounded, decayed, packed; the same events in any order give the same profile."""

from streamrec.profiles.profile import KINDS, Interaction, Kind, Profile
from streamrec.profiles.update import apply, plain_query
from streamrec.profiles.weights import search_weights, weights

__all__ = ["KINDS", "Interaction", "Kind", "Profile", "apply", "plain_query", "search_weights", "weights"]
