"""How well vectors bring together the same goods under other titles and in other languages.

``streamrec same-goods`` is the verb. ``tasks`` makes questions with known answers from catalogues, ``titles`` holds our own
translations, ``run`` embeds what a task needs and counts how much of the answer is among the nearest ten.
"""

from streamrec.evaluate.same_goods.run import Options, run

__all__ = ["Options", "run"]
