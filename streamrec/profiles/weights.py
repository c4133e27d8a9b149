"""How much each remembered interaction counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.config import ProfileSettings
from streamrec.profiles.profile import Profile


def weights(profile: Profile, settings: ProfileSettings) -> NDArray[np.float64]:
    """Return the weight of each of ``profile.recent``: that of its kind, halved for each half-life before the newest event.

    Relative to the profile's own newest event, so that the same events at another time of the week weigh the same.
    Shape ``(len(profile.recent),) float64``, newest first.
    """
    by_kind = np.array([settings.weight_search, settings.weight_click, settings.weight_cart, settings.weight_order])
    codes = [interaction.code for interaction in profile.recent]
    times = [interaction.ts for interaction in profile.recent]
    return by_kind[np.array(codes, dtype=np.intp)] * _decay(times, profile.latest_ts, settings)


def search_weights(profile: Profile, settings: ProfileSettings) -> NDArray[np.float64]:
    """Return the weight of each of ``profile.queries``, on the same scale as ``weights``; ``(n,) float64``, newest first."""
    return settings.weight_search * _decay([ts for _, ts in profile.queries], profile.latest_ts, settings)


def _decay(times: list[int], latest_ts: int, settings: ProfileSettings) -> NDArray[np.float64]:
    age_s = (latest_ts - np.array(times, dtype=np.float64)) / 1000.0
    return np.exp2(-age_s / settings.half_life_s)
