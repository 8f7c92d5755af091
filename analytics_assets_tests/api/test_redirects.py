"""Redirects are followed within the attempt, as far as they lead."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from analytics_assets.api.redirects import FollowingAdapter
from analytics_assets.errors import ReadError


def request_of(path: str, scheme: str = "http") -> PreparedRequest:
    return requests.Request("GET", f"{scheme}://api{path}").prepare()


def answer(request: PreparedRequest, status: int, location: str = "") -> Response:
    response = Response()
    response.status_code, response._content, response.request = status, b"", request
    response.url = str(request.url)
    if location:
        response.headers["Location"] = location
    return response


class Redirects(BaseAdapter):
    """Redirects from each number to the one below; 0 has the status."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self.status = status
        self.asked: list[str] = []
        self.timeouts: set[float | None] = set()
        self.is_closed = False

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        self.asked.append(request.path_url)
        self.timeouts.add(kwargs.get("timeout"))
        number = int(request.path_url.strip("/"))
        if number == 0:
            return answer(request, self.status)
        return answer(request, 302, f"/{number - 1}")

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_redirects_are_followed_within_the_attempt(scheme: str) -> None:
    redirects = Redirects(400)
    request = request_of("/3", scheme)
    found = FollowingAdapter(redirects).send(request, timeout=7.5)
    assert (found.status_code, redirects.asked) == (400, ["/3", "/2", "/1", "/0"])
    assert redirects.timeouts == {7.5}


@pytest.mark.parametrize("status", [299, 300, 399, 400])
@pytest.mark.parametrize("path", ["/0", "/1"])
def test_a_redirect_that_leads_nowhere(status: int, path: str) -> None:
    adapter = FollowingAdapter(Redirects(status))
    if status in (299, 400):  # which are none
        assert adapter.send(request_of(path)).status_code == status
        return
    with pytest.raises(ReadError, match=r"that leads nowhere: check .*BASE_URL$"):
        adapter.send(request_of(path))


def test_redirects_are_not_followed_for_ever() -> None:
    assert FollowingAdapter(Redirects()).send(request_of("/10")).status_code == 200
    redirects = Redirects()
    with pytest.raises(ReadError, match=r"^GET /11 answers 302, a redirect that leads nowhere"):
        FollowingAdapter(redirects).send(request_of("/11"))
    assert len(redirects.asked) == 11


def test_closing_closes_what_sends() -> None:
    redirects = Redirects()
    FollowingAdapter(redirects).close()
    assert redirects.is_closed
