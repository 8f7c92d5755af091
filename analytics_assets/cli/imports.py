"""Imports for a command that uses all of the platform, once."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from analytics_assets.speedups import frozen_imports


@cache
def import_platform() -> None:
    """Imports the code location."""
    with frozen_imports():
        import_module("analytics_assets.definitions")
