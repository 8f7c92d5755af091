"""Ingests an advertising analytics API into a warehouse, as Dagster assets produced through dlt."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analytics_assets.component import AnalyticsPlatform
    from analytics_assets.factory import build_definitions
    from analytics_assets.orchestration.partitions import ACCOUNT_PARTITIONS

__all__ = ["ACCOUNT_PARTITIONS", "AnalyticsPlatform", "build_definitions"]

# imported when they are used: the commands begin without Dagster
_MODULES = {
    "ACCOUNT_PARTITIONS": "analytics_assets.orchestration.partitions",
    "AnalyticsPlatform": "analytics_assets.component",
    "build_definitions": "analytics_assets.factory",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
