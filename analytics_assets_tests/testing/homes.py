"""What leads a DAGSTER_HOME to the sample API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from analytics_assets.sample_api import SampleApi

_OURS = ("SOURCES__", "ANALYTICS__", "DESTINATION__")


def sample_settings(home: Path, api: SampleApi) -> dict[str, str]:
    """Environment variables for a home that reads this API, quickly."""
    return {
        "DAGSTER_HOME": str(home),
        "SOURCES__ANALYTICS__BASE_URL": api.base_url,
        "SOURCES__ANALYTICS__TOKEN_URL": api.token_url,
        "SOURCES__ANALYTICS__CLIENT_ID": api.behaviour.client_id,
        "SOURCES__ANALYTICS__CLIENT_SECRET": api.behaviour.client_secret,
        "SOURCES__ANALYTICS__BACKOFF_FACTOR": "0",
        "EXTRACT__WORKERS": "8",
    }


def foreign_environment() -> dict[str, str]:
    """This process's environment without settings of the platform."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def platform_environment() -> dict[str, str]:
    """The platform's own settings among the environment variables of this process."""
    return {name: value for name, value in os.environ.items() if name.startswith("ANALYTICS__")}


def use_settings(patch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    """Makes these the only settings of this process."""
    for name in os.environ.keys() - foreign_environment().keys():
        patch.delenv(name)
    for name, value in settings.items():
        patch.setenv(name, value)
