"""Follows redirects within an attempt."""

from __future__ import annotations

from typing import Any, Final

import requests
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.exceptions import TooManyRedirects

from analytics_assets.api.answers import request_line
from analytics_assets.errors import ReadError
from analytics_assets.settings import API_SECTION, setting_name

_MOST_REDIRECTS: Final = 10


class FollowingAdapter(BaseAdapter):
    """Follows redirects, so that whoever tries again tries the request as a whole.

    Args:
        adapter: What sends a request once.
    """

    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self._adapter = adapter
        self._plain = requests.Session()
        self._plain.trust_env = False
        self._plain.max_redirects = _MOST_REDIRECTS
        self._plain.mount("http://", adapter)
        self._plain.mount("https://", adapter)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Sends a request, and those that its redirects lead to.

        Raises:
            ReadError: A redirect leads nowhere.
            requests.RequestException: A request failed on its way.
        """
        response = self._adapter.send(request, *args, **kwargs)
        if not 300 <= response.status_code < 400:
            return response
        try:
            hops = self._plain.resolve_redirects(response, request, **kwargs)
            last: Response = [response, *hops][-1]
        except (TooManyRedirects, ValueError):  # a loop, or no URL to follow
            last = response
        if 300 <= last.status_code < 400:
            raise ReadError(
                f"{request_line(response)} answers {response.status_code}, a redirect that leads"
                f" nowhere: check {setting_name(API_SECTION, 'base_url')}"
            )
        return last

    def close(self) -> None:
        """Closes the connections."""
        self._adapter.close()
