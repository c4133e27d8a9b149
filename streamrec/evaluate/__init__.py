"""How good the lists are: real streams replayed event by event, beside the methods that shops use today.

``streamrec evaluate`` is the verb. The path of a record: ``streams`` reads it, ``replay`` asks every method of ``methods`` for
lists and then tells it, ``tally`` judges the lists by ``metrics``, ``run`` puts streams, methods and protocols together.
"""

from streamrec.evaluate.run import Options, run

__all__ = ["Options", "run"]
