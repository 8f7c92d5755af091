"""Where a contender finds the API and the file that it is to fill."""

from __future__ import annotations

import os
from typing import Any

BASE_URL = os.environ["SOURCES__ANALYTICS__BASE_URL"]
TOKEN_URL = os.environ["SOURCES__ANALYTICS__TOKEN_URL"]
API_VERSION = "v1"
CLIENT_ID = os.environ["SOURCES__ANALYTICS__CLIENT_ID"]
CLIENT_SECRET = os.environ["SOURCES__ANALYTICS__CLIENT_SECRET"]
DLT_CLIENT: Any = {
    "base_url": BASE_URL,
    "auth": {
        "type": "oauth2_client_credentials",
        "access_token_url": TOKEN_URL,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    },
    "paginator": "single_page",
}
"""The client of dlt's REST source."""

WAREHOUSE = os.environ["DESTINATION__DUCKDB__CREDENTIALS"]
QUOTA = os.environ.get("BENCHMARK_QUOTA")
"""Requests a second, for who can be told."""

IN_FLIGHT = 64
