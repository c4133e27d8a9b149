"""How well words find products: retrieval by query on data that people judged, and the list after a search event.

``streamrec relevance`` is the verb. ``judgements`` reads products, queries and grades, ``catalogue`` builds the shop that
the workers would have of them, ``methods`` answer queries, ``retrieval`` and ``pairs`` judge the answers by ``graded``, ``lists``
judges what visitors are shown before and after a search, ``run`` puts data sets, encoders and methods together.
"""

from streamrec.evaluate.relevance.run import Options, run

__all__ = ["Options", "run"]
