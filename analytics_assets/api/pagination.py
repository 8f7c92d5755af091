"""Paging by number, for an API that pages some of its lists and sends the others whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain
from typing import Any, Final

from dlt.sources.helpers.rest_client.paginators import BasePaginator
from requests import Request, Response

from analytics_assets.api.answers import Row, request_line
from analytics_assets.errors import ReadError
from analytics_assets.rows.keys import row_key
from analytics_assets.schema import ACCOUNT_ID, Column
from analytics_assets.text import counted

Key = tuple[Any, ...]

# how often a list is read from its first page on, if it moves meanwhile
_READINGS: Final = 4
# an API that sends new rows for ever is given up
_MOST_PAGES: Final = 10_000

# what answers name, in whatever spelling, if the rows of a list go on behind a cursor or a link
_MORE: Final = frozenset(
    [
        *("next", "nextpage", "nextcursor", "nextpagetoken", "nexttoken", "nexturl", "nextlink"),
        *("hasmore", "hasnext", "hasnextpage"),
    ]
)
# what they name, or their headers, if they tell elsewhere than in `metadata` of how many rows
_TOTALS: Final = frozenset(
    [
        *("total", "totalcount", "totalresults", "totalrecords", "totalrows", "totalitems"),
        *("totalelements", "recordcount", "odatacount", "xtotal", "xtotalcount"),
    ]
)
# what is about pages beside the rows; other objects have totals of their own, as of a sum
_ABOUT_PAGES: Final = ("meta", "pag")


@dataclass(slots=True)
class _Pages:
    """What has come of a list in one reading.

    Attributes:
        total: The rows that the first page announces; 0 if it does so in a way that says nothing.
        size: Rows of the first page: what is asked for as `page_size`.
        number: The last page that came.
        rows: The rows of all pages.
        keys: Their distinct keys.
        last: The last page.
        repeats: Rows whose key came before on the same page.
    """

    total: int
    size: int
    number: int = 0
    rows: list[Row] = field(default_factory=list)
    keys: set[Key] = field(default_factory=set)
    last: list[Row] = field(default_factory=list)
    repeats: int = 0

    @property
    def total_holds(self) -> bool:
        """Whether the announced total may still be that of the rows."""
        return len(self.rows) <= self.total and not self.repeats

    def add(self, page: list[Row], keys: Sequence[Key | None]) -> None:
        """Adds a page of new rows."""
        usable = [key for key in keys if key is not None]
        before = len(self.keys)
        self.keys.update(usable)
        self.repeats += before + len(usable) - len(self.keys)
        self.rows += page
        self.last = list(page)
        self.number += 1


class _MovedError(Exception):
    """The pages do not belong together; says what shows it."""


class NumberedPages(BasePaginator):
    """Asks for further pages of a list that does not come whole, and hands it on when it is.

    The first request names no page. Where `metadata.total` is not the number of rows that came, the
    next pages are asked for by `page` and `page_size`, and their rows are held back. Keys are what
    is trusted: one that comes on two pages, and a total that changes, mean that the list moved
    while it was read. Then it is read again from its first page, a few times. A total that cannot
    be right is not believed, and pages are asked for until one brings nothing new.

    An API that ignores the page sends the same page again. That is an error where it has announced
    more rows, because they cannot be had. So is a list that moves each time.

    Args:
        key: The columns that tell the rows of a list apart; without any, it has one row.
    """

    def __init__(self, key: Sequence[Column]) -> None:
        super().__init__()
        self._key = key
        self._begin()

    def _begin(self) -> None:
        self._readings = 1
        self._pages: _Pages | None = None
        # asked for from the first page on, where the API sends later pages that are smaller
        self._page_size: int | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> NumberedPages:
        return NumberedPages(self._key)  # dlt copies the paginator for each list

    def init_request(self, request: Request) -> None:
        """Begins a list."""
        self._begin()

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Takes a page; `data` becomes what is handed on, nothing or the whole list.

        Raises:
            ReadError: The announced rows cannot be had, or none has a key.
        """
        page: list[Row] = [] if data is None else data
        total = _announced_total(response)
        if total is None and self._pages is None:
            _refuse_other_paging(response, len(page))
        if total is None and self._pages is None and self._readings > 1:
            total = 0  # it was announced before that there are pages
        if self._pages is None and self._is_whole(page, total):
            self._has_next_page = False
        else:
            self._collect(page, total, request_line(response))
        # Without keys nothing could be loaded, as if the list were empty.
        if page and not self._has_keys(page):
            names = " and ".join(f"`{column.name}`" for column in self._key)
            raise ReadError(
                f"{request_line(response)} sends {counted(len(page), 'row')}, none of them with a"
                f" usable {names}"
            )

    def update_request(self, request: Request) -> None:
        """Asks for the next page, or for the first one again."""
        if not self._has_next_page:
            return
        params = {**(request.params or {})}
        for name in ("page", "page_size"):
            params.pop(name, None)
        if self._pages is not None:
            params |= {"page": self._pages.number + 1, "page_size": self._pages.size}
        elif self._page_size is not None:
            params |= {"page": 1, "page_size": self._page_size}
        request.params = params

    def _collect(self, page: list[Row], total: int | None, line: str) -> None:
        """Holds a page back; at the end, puts the whole list in its place."""
        try:
            self._has_next_page = not self._take(page, total, line)
        except _MovedError as moved:
            self._read_again(line, str(moved))
        page[:] = [] if self._has_next_page or self._pages is None else self._pages.rows

    def _is_whole(self, page: Sequence[Row], total: int | None) -> bool:
        """Whether a first page is all there is: the usual case, which costs nothing."""
        return total is None or (total == len(page) and self._is_distinct(page))

    def _has_keys(self, page: Sequence[Row]) -> bool:
        return any(row_key(self._key, row) is not None for row in page)

    def _is_distinct(self, page: Sequence[Row]) -> bool:
        if not self._key:
            return len(page) <= 1
        name = self._key[0].name
        try:
            if len({row.get(name) for row in page}) == len(page):
                return True
        except TypeError:  # an object or a list, which is no key
            pass
        keys = [key for key in self._keys(page) if key is not None]
        return len(set(keys)) == len(keys)

    def _keys(self, page: Sequence[Row]) -> list[Key | None]:
        """The keys of rows. A network account's list may have one id for several accounts."""
        keys = ((row_key(self._key, row), str(row.get(ACCOUNT_ID.name))) for row in page)
        return [key and (*key, account_id) for key, account_id in keys]

    def _take(self, page: list[Row], total: int | None, line: str) -> bool:
        """Adds a page to those that came; whether the list is whole now.

        Raises:
            _MovedError: The page does not belong to those before.
            ReadError: The announced rows cannot be had.
        """
        if self._pages is None:
            self._pages = _Pages(total or 0, len(page))
        pages, keys = self._pages, self._keys(page)
        self._raise_if_moved(pages, page, keys, total)
        if not page or self._is_same(pages.last, page, keys):  # which brings nothing new
            if len(pages.rows) >= pages.total:
                return True
            if pages.number == (1 if page else 0):  # the API ignores `page`, or has no rows at all
                raise ReadError(f"{line} {_short(pages)}")
            raise _MovedError(_short(pages))
        self._note_smaller_pages(pages, page, total)
        self._raise_if_pages_are_smaller(pages)
        pages.add(page, keys)
        if pages.number >= _MOST_PAGES:
            raise ReadError(f"{line} still sends new rows, {len(pages.rows)} by now")
        return pages.total_holds and len(pages.rows) == pages.total

    def _raise_if_moved(
        self, pages: _Pages, page: Sequence[Row], keys: Sequence[Key | None], total: int | None
    ) -> None:
        if pages.total_holds and total not in (None, pages.total) and (total or 0) >= len(page):
            raise _MovedError(f"announces {counted(pages.total, 'row')}, then {total}")
        twice = next((key for key in keys if key in pages.keys), None)
        if twice is None or self._is_same(pages.last, page, keys):
            return
        if pages.number == 1 and len(page) < pages.size:
            # smaller than asked for, it begins too early; but the last page may be as small
            left = pages.total - len(pages.rows)
            is_last = left == len(page) if total is not None else 0 <= left <= len(page)
            if not is_last or self._readings > 1:
                self._page_size = len(page)
        key = ", ".join(map(str, twice[: len(self._key)]))
        raise _MovedError(f"sends the row {key} on two pages")

    def _raise_if_pages_are_smaller(self, pages: _Pages) -> None:
        """Where no total tells, a short page before another may leave out what was asked for."""
        is_short = pages.number > 1 and len(pages.last) < pages.size
        if is_short and self._readings == 1 and not pages.total_holds:
            self._page_size = len(pages.last)
            raise _MovedError(f"sends {self._page_size} rows where {pages.size} are asked for")

    def _is_same(
        self, last: Sequence[Row], page: Sequence[Row], keys: Sequence[Key | None]
    ) -> bool:
        """Whether it is the last page again, though a value in it may have changed."""
        if not page or len(page) != len(last):
            return False
        return page == last or (None not in keys and self._keys(last) == keys)

    def _note_smaller_pages(self, pages: _Pages, page: Sequence[Row], total: int | None) -> None:
        """Notes the page size that the API really has, in case the rows do not all come."""
        is_second = pages.number == 1 and 0 < len(page) < pages.size
        # without a total of its own, it may just be the last page of a list that has moved
        if is_second and (total is not None or self._readings > 1):
            self._page_size = len(page)

    def _read_again(self, line: str, what: str) -> None:
        if self._readings == _READINGS:
            raise ReadError(
                f"{line} {what}, and the like in each of {_READINGS} readings: the list changes"
                " while it is read, or has no stable order; try again later"
            )
        self._readings += 1
        self._pages = None
        self._has_next_page = True


def _refuse_other_paging(response: Response, rows: int) -> None:
    """Refuses a list that announces no total, and says in another way that it has further rows.

    Raises:
        ReadError: It does.
    """
    answer = response.json()
    told = answer if isinstance(answer, dict) else {}
    nested = {name: value for name, value in told.items() if isinstance(value, dict)}
    about_pages = (nested[name] for name in nested if _plain(name).startswith(_ABOUT_PAGES))
    said = chain(
        _named(_MORE, [response.links, told, *nested.values()], bool),
        _named(_TOTALS, [response.headers, told, *about_pages], lambda each: _whole(each) > rows),
        ["206"] if response.status_code == HTTPStatus.PARTIAL_CONTENT else [],
    )
    name = next(said, None)
    if name is not None:
        raise ReadError(
            f"{request_line(response)} says by `{name}` that rows follow, and by no"
            " `metadata.total` how many: there is no way to ask for them"
        )


def _plain(name: str) -> str:
    return name.lower().rpartition(".")[2].replace("_", "").replace("-", "")


def _short(pages: _Pages) -> str:
    return f"announces {pages.total} rows, but only {len(pages.rows)} come"


def _named(
    names: Collection[str], places: Iterable[Mapping[str, Any]], is_so: Callable[[Any], bool]
) -> Iterator[str]:
    """The keys of some names whose value is so."""
    for place in places:
        yield from (key for key, value in place.items() if _plain(key) in names and is_so(value))


def _announced_total(response: Response) -> int | None:
    """The number of rows that an answer announces; 0 if it does so in a way that says nothing."""
    answer = response.json()
    metadata = answer.get("metadata") if isinstance(answer, dict) else None
    if not isinstance(metadata, dict) or "total" not in metadata:
        return None
    return _whole(metadata["total"])


def _whole(number: Any) -> int:
    """The number of rows that a value stands for; 0 if it is none."""
    if type(number) is int:
        return max(number, 0)
    try:
        found = float(number) if isinstance(number, (float, str)) else 0.0
    except ValueError:
        return 0
    return int(found) if found > 0 and found.is_integer() else 0
