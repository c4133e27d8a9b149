"""The keys of item-vectors: an item's id, and behind it the model's slot, so that vectors of two models survive compaction.

The model that a shop began with has the plain slot: its key is the item's id alone. Every later one writes ``id{digest}``. No id
may hold a brace, so no item is mistaken for another's slot.
"""

from __future__ import annotations

import re
from typing import Final

_SLOTTED: Final = re.compile(r"(.*)\{([0-9a-f]{1,64})\}", re.DOTALL)


def slot_key(item_id: str, slot: str) -> str:
    """Return the key of an item's vector in a slot; the empty slot is the plain one.

    >>> slot_key("sku-1", ""), slot_key("sku-1", "0a1b")
    ('sku-1', 'sku-1{0a1b}')
    """
    return f"{item_id}{{{slot}}}" if slot else item_id


def split_slot(key: str) -> tuple[str, str]:
    """Return the item's id and the slot of a key of item-vectors.

    >>> split_slot("sku-1"), split_slot("sku-1{0a1b}")
    (('sku-1', ''), ('sku-1', '0a1b'))
    """
    found = _SLOTTED.fullmatch(key) if key.endswith("}") else None
    return (found[1], found[2]) if found else (key, "")
