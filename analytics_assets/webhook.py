"""Posts a message to a webhook whose URL is a secret."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import requests
from dlt.sources.helpers import requests as dlt_requests

from analytics_assets.errors import AlertError

_TIMEOUT: Final = 10.0
_ATTEMPTS: Final = 3


def post(url: str, text: str) -> None:
    """Posts `{"text": ...}`, which Slack, Mattermost and others show as a message.

    Args:
        url: The webhook. Whoever knows it can post, so no error shows it.
        text: The message, in Slack's markup.

    Raises:
        AlertError: The message was not taken.
    """
    client = dlt_requests.Client(
        request_timeout=_TIMEOUT, request_max_attempts=_ATTEMPTS, raise_for_status=False
    )
    try:
        with _unlogged(urlsplit(url).path):
            response = client.post(url, json={"text": text}, allow_redirects=False)
    except requests.RequestException as error:
        # its message holds the URL
        raise AlertError(f"the alert webhook cannot be reached ({type(error).__name__})") from None
    if response.status_code >= 300:  # a redirect, too: it is not followed
        raise AlertError(f"the alert webhook answers {response.status_code}")


@contextmanager
def _unlogged(path: str) -> Iterator[None]:
    """Keeps the path, which is what is secret, out of the HTTP library's debug log."""

    def without_path(record: logging.LogRecord) -> bool:
        return path not in record.getMessage()

    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(without_path)
    try:
        yield
    finally:
        logger.removeFilter(without_path)
