"""Matrix factorisation with PyPI's implicit, fitted anew on a schedule: between two fits it knows nothing of what happened."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from streamrec.evaluate.methods.baseline import Baseline, Scores, latest
from streamrec.evaluate.streams import Step

#: The item factors that stand for a visitor whom the last fit did not know, see ``Bpr``.
_DEPTH = 10


def missing() -> str:
    """Return what is not installed, in words; the empty string where all is."""
    return "" if find_spec("implicit") else "implicit is not installed; run: pip install 'streamrec[bench]'"


class _Refitted(Baseline):
    """Collects interactions and fits all of them anew once ``refit_s`` of event time went by."""

    def __init__(self, refit_s: float, *, factors: int, seed: int) -> None:
        super().__init__()
        self.fitted_ms: int | None = 0
        self._refit_ms = refit_s * 1000
        self._due_ms = 0.0
        self._factors = factors
        self._seed = seed
        self._visitors: dict[str, int] = {}
        self._users: list[int] = []
        self._rows: list[int] = []
        self._model: Any = None
        #: Items and visitors that the last fit knows.
        self._known = (0, 0)
        #: Interactions that the last fit knew.
        self._fitted = 0

    def remember(self, step: Step) -> None:
        """Take a step into the visitor's history; a model that stays as it is from here on first takes all that was learnt."""
        if len(self._rows) > self._fitted:
            self._refit()
            self.fitted_ms = step.at_ms
        super().remember(step)

    def _hear(self, step: Step) -> None:
        if not self._due_ms:
            self._due_ms = step.at_ms + self._refit_ms
        if step.at_ms >= self._due_ms:
            self._refit()
            self.fitted_ms = step.at_ms
            self._due_ms += self._refit_ms * (1 + (step.at_ms - self._due_ms) // self._refit_ms)

    def _fit(self, step: Step, row: int) -> None:
        self._users.append(self._visitors.setdefault(step.visitor, len(self._visitors)))
        self._rows.append(row)

    def _refit(self) -> None:
        import implicit  # noqa: F401, PLC0415 - loads its BLAS, so that the limit below reaches it
        from scipy.sparse import csr_matrix  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        if not self._rows:
            return
        self._known, self._fitted = (len(self.items), len(self._visitors)), len(self._rows)
        ones = np.ones(len(self._rows), np.float32)
        met = csr_matrix((ones, (self._users, self._rows)), shape=self._known[::-1])
        with threadpool_limits(1, "blas"):  # beside implicit's own threads those of BLAS make a fit ten times as long
            self._model = self._built()
            self._model.fit(met, show_progress=False)

    @abstractmethod
    def _built(self) -> Any:
        """Return a model to fit."""

    def _scores(self, visitor: str, history: Sequence[int], now_ms: int) -> Scores | None:  # noqa: ARG002 - fits tell the time
        known = [row for row in history if row < self._known[0]]
        if self._model is None or not known:
            return None
        products = self._model.item_factors[: self._known[0]] @ self._taste(visitor, known)
        scores: Scores = np.zeros(len(self.items))
        # Negative products are still an order; shifted, because 0 says that there is no score.
        scores[: self._known[0]] = products - products.min() + 1e-9
        return scores

    @abstractmethod
    def _taste(self, visitor: str, known: Sequence[int]) -> Any:
        """Return the visitor's factors; ``known`` are the rows of the history that the model knows."""


class Als(_Refitted):
    """Implicit ALS (Hu, Koren and Volinsky, ICDM 2008); a visitor's factors are solved from the history at the time of asking."""

    def __init__(
        self,
        refit_s: float,
        *,
        factors: int = 64,
        regularization: float = 0.05,
        alpha: float = 10.0,
        iterations: int = 15,
        seed: int = 7,
    ) -> None:
        super().__init__(refit_s, factors=factors, seed=seed)
        self._options = {"regularization": regularization, "alpha": alpha, "iterations": iterations}

    def _built(self) -> Any:
        from implicit.als import AlternatingLeastSquares  # noqa: PLC0415 - the bench extra

        return AlternatingLeastSquares(factors=self._factors, random_state=self._seed, num_threads=1, **self._options)

    def _taste(self, visitor: str, known: Sequence[int]) -> Any:  # noqa: ARG002 - the history says it all
        from scipy.sparse import csr_matrix  # noqa: PLC0415

        row = csr_matrix((np.ones(len(known), np.float32), ([0] * len(known), list(known))), shape=(1, self._known[0]))
        return self._model.recalculate_user(0, row)


class Bpr(_Refitted):
    """BPR matrix factorisation (Rendle et al., UAI 2009).

    It cannot solve for one visitor; one whom the last fit did not know is the mean of the latest items' factors, the n-th latest
    counting 1 / n.
    """

    def __init__(
        self,
        refit_s: float,
        *,
        factors: int = 64,
        learning_rate: float = 0.05,
        regularization: float = 0.01,
        iterations: int = 50,
        seed: int = 7,
    ) -> None:
        super().__init__(refit_s, factors=factors, seed=seed)
        self._options = {"learning_rate": learning_rate, "regularization": regularization, "iterations": iterations}

    def _built(self) -> Any:
        from implicit.bpr import BayesianPersonalizedRanking  # noqa: PLC0415 - the bench extra

        return BayesianPersonalizedRanking(factors=self._factors, random_state=self._seed, num_threads=1, **self._options)

    def _taste(self, visitor: str, known: Sequence[int]) -> Any:
        number = self._visitors.get(visitor, self._known[1])
        if number < self._known[1]:
            return self._model.user_factors[number]
        weighted = latest(known, _DEPTH)
        factors = self._model.item_factors[[row for row, _ in weighted]]
        return np.average(factors, axis=0, weights=[weight for _, weight in weighted])
