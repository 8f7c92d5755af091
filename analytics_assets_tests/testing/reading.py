"""What is read of the sample API: with the platform's own client, and without Dagster."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from analytics_assets.api.client import ApiClient, make_client
from analytics_assets.api.reader import Reader
from analytics_assets.resources import ACCOUNT_RESOURCES, RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import ApiSettings, api_settings, platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load

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


def read_and_load(api: SampleApi, home: Path) -> dict[str, str]:
    """Reads and loads all accounts as the settings say: a sync in a third of its time.

    Returns:
        By account, what could not be read of it, each on a line.
    """
    with TemporaryDirectory(dir=home) as made:
        folder = Path(made)
        reader = Reader(make_client(api_settings()), folder)
        listing = reader.read_listing()
        wanted = {key: list(ACCOUNT_RESOURCES) for key in api.data.account_ids}
        reads = list(chain.from_iterable(reader.read_accounts(wanted)))
        rows = [listing.rows, *(read.rows for read in reads if read.rows.resources)]
        request = LockRequest("a test", 60, print)
        load(platform_settings(), folder, list(RESOURCES), rows, request, allow_empty=False)
    return {
        str(read.rows.account_id): "\n".join(map(str, read.failures))
        for read in reads
        if read.failures
    }
