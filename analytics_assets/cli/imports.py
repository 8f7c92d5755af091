"""Imports for a command that uses all of the platform, once."""

from __future__ import annotations

from functools import cache
from importlib import import_module


@cache
def import_platform() -> None:
    """Imports what the code location is made of."""
    from analytics_assets.speedups import frozen_imports

    with frozen_imports():
        import_module("analytics_assets.factory")
