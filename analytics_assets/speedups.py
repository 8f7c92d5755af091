"""What is there for speed alone: each with its figure, and each can be switched off.

`ANALYTICS_ASSETS_WITHOUT=rarely_collecting,frozen_imports` in the environment does without those
named: what they do is then what Python, dlt and Dagster do by themselves.

Figures: 2,042 requests over HTTP on 2 cores, processor time of a whole sync.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCH: Final = "ANALYTICS_ASSETS_WITHOUT"
# new objects after which the garbage collector looks for cycles, instead of 700
_NEW_OBJECTS: Final = 500_000


def is_on(name: str) -> bool:
    """Whether a speed-up of this module is in force."""
    return name not in os.environ.get(_SWITCH, "").split(",")


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Lets the garbage collector look for cycles rarely; without it, 1.1 s of 7 more.

    A run's objects are its rows. To look through them and through all of Dagster and dlt, again and
    again, finds nothing.
    """
    before = gc.get_threshold()
    if is_on("rarely_collecting"):
        gc.set_threshold(_NEW_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def frozen_imports() -> Iterator[None]:
    """Keeps what is imported within out of the garbage collector's sight; a tenth of a sync.

    Dagster and dlt are some hundred thousand objects that stay until the end, through which it
    would go again and again, and at the exit.
    """
    if not is_on("frozen_imports"):
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    gc.freeze()
    atexit.register(gc.freeze)
