"""A real HTTP server that imitates the analytics API, for the demo, the tests and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analytics_assets.sample_api.behaviour import FAULT_KINDS, Behaviour, Fault
from analytics_assets.sample_api.data import SampleData
from analytics_assets.sample_api.generator import Row
from analytics_assets.sample_api.request_log import Entry, RequestLog

if TYPE_CHECKING:
    from analytics_assets.sample_api.running import SampleApi

__all__ = [
    "FAULT_KINDS",
    "Behaviour",
    "Entry",
    "Fault",
    "RequestLog",
    "Row",
    "SampleApi",
    "SampleData",
]


def __getattr__(name: str) -> Any:
    """Imports the server, and aiohttp with it, only when it is asked for."""
    if name == "SampleApi":
        from analytics_assets.sample_api.running import SampleApi

        return SampleApi
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
