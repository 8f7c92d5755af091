"""Paging by number, for an API that pages some of its lists and sends the others whole."""

from __future__ import annotations

from typing import Any

from dlt.sources.helpers.rest_client.paginators import BasePaginator
from requests import Request, Response

from analytics_assets.api.client import request_line
from analytics_assets.errors import ReadError


class NumberedPages(BasePaginator):
    """Asks for a next page where an answer says that there are more rows than it sent.

    The first request names no page. If the answer's `metadata.total` exceeds its rows, the next
    pages are asked for by `page` and `page_size` until all rows are there. An API that ignores the
    page sends the same list again, which is not counted twice: it is an error, because the rows
    that were announced are not there.
    """

    def __init__(self) -> None:
        super().__init__()
        self._page = 1
        self._page_size = 0
        self._rows = 0
        self._last: list[Any] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> NumberedPages:
        return NumberedPages()  # dlt copies the paginator that no list has used for each list

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Reads from an answer whether a page follows.

        Raises:
            ReadError: The pages end before all announced rows are there.
        """
        rows = data or []
        again = bool(rows) and rows == self._last
        if not again:
            self._rows += len(rows)
        self._page_size = self._page_size or len(rows)
        total = _announced_total(response)
        self._has_next_page = total is not None and self._rows < total
        if self._has_next_page and (again or not rows):
            raise ReadError(
                f"{request_line(response)} announces {total} rows, but only {self._rows} come"
            )
        self._last = rows

    def update_request(self, request: Request) -> None:
        """Asks for the next page."""
        if self._has_next_page:
            self._page += 1
            request.params = {
                **(request.params or {}),
                "page": self._page,
                "page_size": self._page_size,
            }


def _announced_total(response: Response) -> int | None:
    metadata = response.json().get("metadata")
    total = metadata.get("total") if isinstance(metadata, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None
