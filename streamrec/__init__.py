"""Streaming, event-driven recommendations: shop events in, fresh top-K lists in Redis.

The library is pure: it knows neither Faust nor a Kafka client. A record's way through it is the order of its rooms:
``events`` → ``catalogue`` | ``embedding`` → ``index`` | ``profiles`` → ``candidates`` → ``ranking`` → ``lists``.
"""

__version__ = "0.1.0"
