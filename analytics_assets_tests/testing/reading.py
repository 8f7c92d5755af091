"""The platform's own client of the sample API, without a home and without environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analytics_assets.api.client import ApiClient, make_client
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import ApiSettings

UNREACHABLE = ApiSettings(
    base_url="http://api",
    token_url="http://api/oauth/token",
    client_id="id",
    client_secret="secret",
    backoff_factor=0.0,
    workers=8,
)
"""Settings of an API that is not there: for what sends nothing."""


def client_of(api: SampleApi, **changes: Any) -> ApiClient:
    """A client that tries nothing again, unless the changes say so."""
    leading = replace(
        UNREACHABLE,
        base_url=api.base_url,
        token_url=api.token_url,
        client_id=api.behaviour.client_id,
        client_secret=api.behaviour.client_secret,
        max_retries=0,
    )
    return make_client(replace(leading, **changes))
