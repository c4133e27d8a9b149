"""The names of keys are a contract."""

from __future__ import annotations

import re

from streamrec.lists import keys


def test_keys_have_the_names_that_storefronts_know() -> None:
    assert keys.rec("u") == "rec:{u}"
    assert keys.rec("u", "cart") == "rec:{u}:cart"
    assert keys.similar("i") == "similar:{i}"
    assert keys.together("i") == "together:{i}"
    assert (keys.trending(), keys.trending("Shoes")) == ("trending:all", "trending:Shoes")
    assert (keys.new(), keys.new("Shoes")) == ("new:all", "new:Shoes")
    assert keys.item("i") == "item:{i}"
    assert keys.profile("u") == "profile:{u}"
    assert keys.SOLDOUT == "soldout"


def test_all_keys_of_a_visitor_share_a_cluster_slot() -> None:
    names = [keys.rec("u"), keys.rec("u", "cart"), keys.profile("u")]
    assert {re.search(r"\{(.+?)\}", name)[1] for name in names} == {"u"}  # type: ignore[index]
