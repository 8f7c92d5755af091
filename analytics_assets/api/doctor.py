"""Asks the API single questions, to see what it says. Nothing is repeated, and nothing is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Final

import requests
from dlt.sources.helpers.rest_client.client import RESTClient

from analytics_assets.api.answers import InvalidAnswer, Row, request_line, rows_of
from analytics_assets.api.client import ApiClient, make_client
from analytics_assets.api.paths import path_part, request_path
from analytics_assets.errors import AnalyticsError
from analytics_assets.schema import Resource
from analytics_assets.settings import ApiSettings
from analytics_assets.text import counted, one_line

_QUOTA_HEADER: Final = re.compile(r"(x-)?rate-?limit.*|retry-after", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said to one request.

    Attributes:
        line: The request and what came of it, in one line.
        status: The answer's status, or None where there is no answer.
        rows: The rows of the list, or None where there is no list.
        quota: The headers that tell of a quota.
    """

    line: str
    status: int | None
    rows: Sequence[Row] | None
    quota: Mapping[str, str]


def probe_client(settings: ApiSettings) -> ApiClient:
    """A client that sends each request once."""
    return make_client(replace(settings, max_retries=0))


def request_token(client: ApiClient) -> None:
    """Gets an access token.

    Raises:
        CredentialsError: The API gives none.
    """
    requests.Request("GET", client.base_url, auth=client.auth).prepare()


def ask(
    client: ApiClient, resource: Resource, account_id: str | None = None, parent_id: str = ""
) -> Answer:
    """Asks for a resource: its first page, of one parent's row, or a report of one day."""
    api = RESTClient(client.base_url, auth=client.auth, session=client.session)
    try:
        ids = path_part(account_id), path_part(parent_id)
        response = api.get(request_path(resource, client.version, *ids), params=_a_day(resource))
        response.raise_for_status()
    except InvalidAnswer as error:
        return Answer(client.describe(error), error.status, None, {})
    except (AnalyticsError, requests.RequestException) as error:
        refusal: requests.Response | None = getattr(error, "response", None)
        if refusal is None:
            return Answer(client.describe(error), None, None, {})
        return Answer(client.describe(error), refusal.status_code, None, _quota(client, refusal))
    rows: list[Row] = rows_of(response.json(), resource.data_selector)
    line = f"{request_line(response)} answers {response.status_code}, {counted(len(rows), 'row')}"
    return Answer(line, response.status_code, rows, _quota(client, response))


def _a_day(resource: Resource) -> dict[str, str]:
    """The parameters of a report of yesterday, which has begun everywhere; a list has none."""
    day = str((datetime.now(timezone.utc) - timedelta(days=1)).date())
    report = resource.report
    names = (report.first_day_parameter, report.last_day_parameter) if report else ()
    return dict.fromkeys(names, day)


def _quota(client: ApiClient, response: requests.Response) -> dict[str, str]:
    return {
        one_line(name): one_line(client.redact(value))
        for name, value in response.headers.items()
        if _QUOTA_HEADER.fullmatch(name)
    }
