"""Work in a process of its own: its memory is gone when it is done, and it does not hold up the threads here."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from streamrec.demo.storefront import interrupts_held
from streamrec.demo.view import View
from streamrec.errors import LocalStackError, StreamrecError

_JOIN_S: Final = 10.0


class Child:
    """One such process; ``work(*arguments, progress)`` runs there and ``results`` gives what it returned."""

    def __init__(self, name: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        context = get_context("spawn")  # we have threads; a fork of us could deadlock
        self.name = name
        self.pipe, theirs = context.Pipe(duplex=False)[0:2]
        self._process = context.Process(target=_serve, args=(theirs, work, arguments), daemon=True, name=name)
        with interrupts_held():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid

    def close(self) -> None:
        """End the process if it still runs."""
        if self._process.is_alive():
            self._process.terminate()
        self._process.join(_JOIN_S)
        self.pipe.close()


def results(children: Sequence[Child], view: View) -> list[Any]:
    """Wait for all children, show how far they come together, end them, and return what each returned.

    Raises what a child raised, LocalStackError for one that ended without a word.
    """
    found: dict[Connection, Any] = {}
    steps: dict[str, dict[Connection, tuple[int, int]]] = {}
    pipes = {child.pipe: child.name for child in children}
    try:
        while len(found) < len(pipes):
            for pipe in wait([pipe for pipe in pipes if pipe not in found]):
                assert isinstance(pipe, Connection)
                kind, *told = _receive(pipe, pipes[pipe])
                if kind == "error":
                    raise told[0]
                if kind == "done":
                    found[pipe] = told[0]
                    continue
                what, done, total = told
                steps.setdefault(what, {})[pipe] = (done, total)
                view.progress(what, sum(d for d, _ in steps[what].values()), sum(t for _, t in steps[what].values()))
    finally:
        for child in children:
            child.close()
    return [found[child.pipe] for child in children]


def _receive(pipe: Connection, name: str) -> Any:
    try:
        return pipe.recv()
    except (EOFError, ConnectionResetError):
        msg = f"the process {name} ended without a word; is there memory enough? Try fewer items or users"
        raise LocalStackError(msg) from None


def _serve(pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides when to end
    try:
        pipe.send(("done", work(*arguments, lambda *step: pipe.send(("progress", *step)))))
    except StreamrecError as error:
        pipe.send(("error", error))
    except (BrokenPipeError, ConnectionResetError):
        return
