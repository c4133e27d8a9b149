"""To which partition a key goes: murmur2, as Java's clients and our producers compute it."""

from __future__ import annotations

_MIX = 0x5BD1E995
_BITS = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of ``data`` with Kafka's seed (A. Appleby, 2008)."""
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _MIX & _BITS
        k = (k ^ k >> 24) * _MIX & _BITS
        h = (h * _MIX & _BITS) ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * _MIX & _BITS
    h = (h ^ h >> 13) * _MIX & _BITS
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among ``partitions``."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
