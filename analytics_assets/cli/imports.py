"""Imports for a command that uses all of the platform, once."""

from __future__ import annotations

import atexit
import gc
from functools import cache
from importlib import import_module


@cache
def import_platform() -> None:
    """Imports the platform, out of the garbage collector's sight.

    Dagster and dlt are some hundred thousand objects that stay until the end. To go through them
    again and again, and at the exit, would take a tenth of a sync's processor time.
    """
    gc.disable()
    try:
        import_module("analytics_assets.definitions")
    finally:
        gc.enable()
    gc.freeze()
    atexit.register(gc.freeze)
