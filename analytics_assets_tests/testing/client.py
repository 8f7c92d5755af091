"""A client of the sample API as simple as can be: it retries nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests

from analytics_assets.sample_api import Row, SampleApi

TIMEOUT = 30


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for another thread to get as far as this."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Client:
    def __init__(self, api: SampleApi) -> None:
        self.api = api
        self.session = requests.Session()
        self.session.trust_env = False

    def ask_token(self, **changes: str) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.api.behaviour.client_id,
            "client_secret": self.api.behaviour.client_secret,
        }
        return self.session.post(self.api.token_url, data={**form, **changes}, timeout=TIMEOUT)

    def log_in(self) -> Client:
        token = self.ask_token().json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"
        return self

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(f"{self.api.base_url}{path}", **{"timeout": TIMEOUT, **options})

    def rows(self, path: str, **options: Any) -> list[Row]:
        response = self.get(path, **options)
        response.raise_for_status()
        rows: list[Row] = response.json()["results"]
        return rows

    def table(self, name: str) -> list[Row]:
        """Reads a whole table by the paths of the resource table, as an ingestion would."""
        resource = self.api.data.resources[name]
        if "{account_id}" not in resource.path:
            return self.rows(resource.path_in("v1"))
        read = []
        for account in self.rows("/v1/users/current/allowed-accounts"):
            slug = quote(account["account_id"], safe="")
            path = resource.path_in("v1").replace("{account_id}", slug)
            parents = [""]
            if "{parent_id}" in path:
                listed = self.table(resource.parent or "")
                parents = [
                    row["id"] for row in listed if row["account_id"] == account["account_id"]
                ]
            for parent in parents:
                quoted = quote(parent, safe="")
                rows = self.rows(path.replace("{parent_id}", quoted))
                read += [{"account_id": account["account_id"], **row} for row in rows]
        return read


Start = Callable[..., Client]
"""Starts a server and logs a client in: `start(data, **behaviour)`."""
