"""What is worth measuring, told as it ends to whoever listens. Nobody does, unless an operator wants metrics."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from omi_mcp.away import Away

Kind = Literal["request", "call", "transaction", "warm_up"]
"""A request over HTTP, a call of the protocol, a transaction in PostgreSQL, an account's copy made ready to serve."""

Listener = Callable[[Kind, str, str, float], None]
"""Is told what ended, which one, how and after how many seconds, in any thread. Names are few: no ids, no words."""

_listeners: list[Listener] = []


@dataclass
class Measured:
    """What is being measured: `outcome` is how it will have ended, unless by an exception."""

    which: str
    outcome: str = "ok"


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` for as long as the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def timed(kind: Kind, which: str = "") -> Iterator[Measured]:
    """Tell how the block ended, and after how long."""
    measured = Measured(which)
    began = time.perf_counter()
    try:
        yield measured
    except BaseException as error:
        measured.outcome = "away" if isinstance(error, Away) else "failed"
        raise
    finally:
        for listener in _listeners:
            listener(kind, measured.which, measured.outcome, time.perf_counter() - began)
