"""The names of the roles of a worker; for each the package ``workers`` has a module of that name that builds it."""

from __future__ import annotations

from typing import Final

#: In the order in which an item's change travels. Without one of each alive and ready, some event has no effect.
ROLES: Final = ("availability", "embedder", "recommender", "aggregator")
