"""Paged lists come whole and once, however the API pages them; else they fail."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from dlt.sources.helpers.rest_client.client import RESTClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from analytics_assets.api import pagination
from analytics_assets.api.pagination import NumberedPages
from analytics_assets.errors import ReadError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.keys import list_key

# a busy machine is no failure
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

READINGS = 4
Rows = list[dict[str, Any]]


def numbered(rows: int) -> Rows:
    return [{"id": f"{number:03}"} for number in range(rows)]


@dataclass
class Server(HTTPAdapter):
    """A list, and the ways in which servers send one.

    Attributes:
        rows: What is in the list now.
        size: Rows of a page that the client does not size, and the most that it may ask for.
        cap: The most that it may ask for, where that is less.
        total: What the n-th request is told as total, of a list of that many rows; `...`: nothing.
        window: The rows of the page with this number and size.
        before: Called before the n-th request is answered.
    """

    rows: Rows
    size: int = 10
    cap: int | None = None
    total: Callable[[int, int], Any] = lambda n, rows: rows
    window: Callable[[Rows, int, int], Rows] = lambda rows, page, size: rows[
        (page - 1) * size : page * size
    ]
    before: Callable[[int], None] = lambda n: None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def send(self, request: requests.PreparedRequest, *args, **kwargs) -> requests.Response:
        query = urlsplit(str(request.url)).query
        self.asked.append(query)
        n = len(self.asked)
        assert n < 500, "it asks for ever"
        self.before(n)
        asked = parse_qs(query)
        size = self.size
        if "page" in asked:
            size = min(int(asked["page_size"][0]), self.cap or self.size)
        page = self.window(self.rows, int(asked.get("page", ["1"])[0]), size)
        total = self.total(n, len(self.rows))
        answer = requests.Response()
        answer.status_code = 200
        answer.request = request
        answer.url = str(request.url)
        metadata = {} if total is ... else {"total": total}
        answer._content = json.dumps({"results": page, "metadata": metadata}).encode()
        return answer


def pages(server: Server) -> list[Rows]:
    session = requests.Session()
    session.mount("http://", server)
    paginator = NumberedPages(list_key(RESOURCES["campaign_items"]))
    client = RESTClient("http://api", session=session, paginator=paginator)
    return [list(page) for page in client.paginate("/list", data_selector="results")]


@pytest.mark.parametrize("total", [1, ..., "unknown"])
def test_a_list_of_one_row_needs_no_key(total: Any):
    session, server = requests.Session(), Server([{"cap": 7}], total=lambda n, rows: total)
    session.mount("http://", server)
    client = RESTClient("http://api", session=session, paginator=NumberedPages([]))
    found = [row for page in client.paginate("/list", data_selector="results") for row in page]
    assert found == [{"cap": 7}]


def answered(answer: dict[str, Any], link: str = "") -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.request = requests.Request("GET", "http://api/list").prepare()
    response.headers["Link"] = link
    response._content = json.dumps(answer).encode()
    return response


NEXT = '<http://api/list?cursor=x>; rel="next"'


@pytest.mark.parametrize(
    ("answer", "link", "name"),
    [
        ({}, NEXT, "next"),
        ({"next": "http://api/list?cursor=x"}, "", "next"),
        ({"metadata": {"count": 2, "has_more": True}}, "", "has_more"),
        ({"paging": {"cursors": {"after": "x"}, "next": "http://api/list?after=x"}}, "", "next"),
        ({"pagination": {"hasNextPage": True}}, "", "hasNextPage"),
        ({"@odata.nextLink": "http://api/list?skip=2"}, "", "@odata.nextLink"),
        ({"total": 3}, "", "total"),
        ({"metadata": {"count": 2}, "pagination": {"total_count": "3"}}, "", "total_count"),
    ],
)
def test_rows_behind_a_page_that_cannot_be_asked_for(answer: dict[str, Any], link: str, name: str):
    paginator = NumberedPages(list_key(RESOURCES["campaign_items"]))
    with pytest.raises(ReadError, match=f"GET /list says by `{name}` that rows follow"):
        paginator.update_state(answered(answer, link), numbered(2))


@pytest.mark.parametrize(
    ("status", "headers", "name"),
    [(206, {}, "206"), (200, {"X-Total-Count": "3"}, "X-Total-Count")],
)
def test_an_answer_that_is_a_part(status: int, headers: dict[str, str], name: str):
    response = answered({})
    response.status_code = status
    response.headers.update(headers)
    paginator = NumberedPages(list_key(RESOURCES["campaign_items"]))
    with pytest.raises(ReadError, match=f"GET /list says by `{name}` that rows follow"):
        paginator.update_state(response, numbered(2))


def test_other_signs_of_pages_say_nothing():
    paginator = NumberedPages(list_key(RESOURCES["campaign_items"]))
    last = {"next": None, "metadata": {"has_more": False, "next_page": ""}, "total": 2}
    last["meta"] = {"total": "unknown", "totalCount": 0.5}
    last["sums"] = {"total": 500}
    paginator.update_state(answered(last, NEXT.replace("next", "prev")), numbered(2))
    assert not paginator.has_next_page
    # those that are announced are asked for by number
    paginator.update_state(answered({"metadata": {"total": 4, "next": "x"}}, NEXT), numbered(2))
    assert paginator.has_next_page


def collect(server: Server) -> Rows:
    return [row for page in pages(server) for row in page]


def same_page(rows: Rows, page: int, size: int) -> Rows:
    return rows[:size]


def all_rows(rows: Rows, page: int, size: int) -> Rows:
    return list(rows)


@patient
@given(rows=st.integers(0, 60), size=st.integers(1, 20))
def test_pages_are_collected_once_in_as_few_requests_as_possible(rows: int, size: int):
    server = Server(numbered(rows), size)
    assert collect(server) == server.rows
    assert len(server.asked) == max(math.ceil(rows / size), 1)


def test_nothing_is_handed_on_before_all_is_there():
    server = Server(numbered(25))
    assert pages(server) == [[], [], server.rows]


@pytest.mark.parametrize("form", [str, float, "{}.0".format, " {} ".format, "{}.00".format])
@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("rows", [0, 7, 10, 34])
def test_a_total_in_another_form_or_on_the_first_page_only(form, first_only: bool, rows: int):
    server = Server(
        numbered(rows), total=lambda n, rows: form(rows) if n == 1 or not first_only else ...
    )
    assert collect(server) == server.rows
    assert len(server.asked) == max(math.ceil(rows / 10), 1)


NO_TOTALS = [None, True, -1, "", "many", "1,034", 34.5, "NaN", "1e999", [34], {"rows": 34}]


@pytest.mark.parametrize("total", [*NO_TOTALS, 0, 1, 9, 12, 33], ids=repr)
@pytest.mark.parametrize("rows", [30, 34])
def test_a_total_that_cannot_be_right_is_not_believed(total: Any, rows: int):
    server = Server(numbered(rows), total=lambda n, rows: total)
    if total == 33 and rows == 30:
        with pytest.raises(ReadError, match="announces 33 rows, but only 30 come"):
            collect(server)
    else:
        assert collect(server) == server.rows
        # a page that brings nothing new is the end
        assert len(server.asked) == math.ceil(rows / 10) + 1


@pytest.mark.parametrize("total", [*NO_TOTALS, 0, 3], ids=repr)
def test_such_a_total_of_a_whole_list_costs_one_request(total: Any):
    server = Server(numbered(25), total=lambda n, rows: total, window=all_rows)
    assert collect(server) == server.rows
    assert server.asked == ["", "page=2&page_size=25"]


@pytest.mark.parametrize(
    ("rows", "later"), [(25, None), (25, ""), (25, -1), (25, 0), (21, 0), (25, 3)]
)
def test_a_total_that_later_pages_do_not_repeat_holds(rows: int, later: Any):
    server = Server(numbered(rows), total=lambda n, rows: rows if n == 1 else later)
    assert collect(server) == server.rows
    assert len(server.asked) == 3


@patient
@given(rows=st.integers(0, 60))
def test_a_list_without_a_total_is_whole(rows: int):
    server = Server(numbered(rows), total=lambda n, rows: ..., window=all_rows)
    assert collect(server) == server.rows
    assert server.asked == [""]


@patient
@given(rows=st.integers(1, 60), more=st.integers(1, 100))
def test_an_api_that_ignores_the_page_and_announces_more_than_it_lists(rows: int, more: int):
    server = Server(numbered(rows), total=lambda n, rows: rows + more, window=all_rows)
    with pytest.raises(ReadError, match=f"announces {rows + more} rows, but only {rows} come"):
        collect(server)
    assert len(server.asked) == 2


def test_the_first_page_again_is_known_by_its_keys():
    # a value that changes with each answer does not make it another page
    server = Server(numbered(25), total=lambda n, rows: 25, window=same_page)

    def spend(n: int) -> None:
        server.rows = [{**row, "spent": n} for row in server.rows]

    server.before = spend
    with pytest.raises(ReadError, match="announces 25 rows, but only 10 come"):
        collect(server)
    assert len(server.asked) == 2


def test_rows_of_which_none_has_a_key():
    server = Server([{"id": None}, {"name": "n"}])
    with pytest.raises(
        ReadError, match=r"^GET /list sends 2 rows, none of them with a usable `id`$"
    ):
        collect(server)


def test_an_empty_page_that_announces_rows():
    server = Server([], total=lambda n, rows: 3)
    with pytest.raises(ReadError, match="announces 3 rows, but only 0 come"):
        collect(server)


@dataclass
class Change:
    """A change of the list before a request is answered."""

    at: int
    place: int
    kind: str

    def of(self, rows: Rows) -> Rows:
        place = self.place % len(rows)
        if self.kind == "add":
            return [*rows[:place], {"id": "new"}, *rows[place:]]
        if self.kind == "delete":
            return rows[:place] + rows[place + 1 :]
        return [rows[place], *rows[:place], *rows[place + 1 :]]  # to the front


CHANGES = st.builds(
    Change, st.integers(2, 4), st.integers(0, 100), st.sampled_from(["add", "delete", "to front"])
)


@patient
@given(
    rows=st.integers(2, 40),
    size=st.integers(1, 12),
    change=CHANGES,
    total=st.sampled_from(["always", "first"]),
    clamps=st.booleans(),
)
def test_a_list_that_moves_once_is_read_again(
    rows: int, size: int, change: Change, total: str, clamps: bool
):
    def window(rows: Rows, page: int, size: int) -> Rows:
        last = max(math.ceil(len(rows) / size), 1)
        page = min(page, last) if clamps else page
        return rows[(page - 1) * size : page * size]

    server = Server(
        numbered(rows),
        size,
        total=lambda n, rows: rows if total == "always" or "page=" not in server.asked[-1] else ...,
        window=window,
    )
    before = [row["id"] for row in server.rows]

    def apply(n: int) -> None:
        if n == change.at:
            server.rows = change.of(server.rows)

    server.before = apply
    try:
        read = [row["id"] for row in collect(server)]
    except ReadError:
        # the answers were those of an API that ignores the page
        assert size == 1 or (clamps and total == "first")
        return
    after = [row["id"] for row in server.rows]
    assert len(read) == len(set(read))
    if total == "always" and change.kind != "to front" and len(server.asked) >= change.at:
        assert read == after
    if total == "always" or change.kind != "add":
        # No row is lost that was there all the time. Whether the one that came or went is there
        # depends on whether its page was asked for before or after.
        stayed = set(before) & set(after)
        assert stayed <= set(read) <= set(before) | set(after)


@pytest.mark.parametrize("kind", ["add", "delete"])
def test_a_list_that_never_stands_still(kind: str):
    server = Server(numbered(60))
    numbers = count()

    def move(n: int) -> None:
        if "page=2" in server.asked[-1]:
            server.rows = (
                [{"id": f"new {next(numbers)}"}, *server.rows] if kind == "add" else server.rows[1:]
            )

    server.before = move
    said = r"announces \d+ rows, then \d+, and the like in each of 4 .* while .*; try again later$"
    with pytest.raises(ReadError, match=said):
        collect(server)
    assert len(server.asked) == 2 * READINGS


def test_an_order_that_is_not_stable():
    server = Server(numbered(250), 100)

    def window(rows: Rows, page: int, size: int) -> Rows:
        places = range((page - 1) * size, min(page * size, 250))
        return [rows[(place * 7 + len(server.asked)) % 250] for place in places]

    server.window = window
    with pytest.raises(ReadError, match=r"GET /list\S* sends the row \d+ on two pages"):
        collect(server)
    assert len(server.asked) <= 3 * READINGS
    # the pages have the size that was asked for
    assert not any(query.startswith("page=1&") for query in server.asked)


@pytest.mark.parametrize("total", ["always", "first", "small"])
@pytest.mark.parametrize("rows", [103, 130, 150, 180, 250, 301])
@pytest.mark.parametrize("cap", [7, 50, 60])
@pytest.mark.parametrize("offset", ["by the page sent", "by the page asked for"])
def test_later_pages_that_are_smaller_than_the_first(total: str, rows: int, cap: int, offset: str):
    server = Server(numbered(rows), 100, cap)
    server.total = {
        "always": lambda n, rows: rows,
        "first": lambda n, rows: rows if "page=" not in server.asked[-1] else ...,
        "small": lambda n, rows: 5,
    }[total]

    def window(rows: Rows, page: int, size: int) -> Rows:
        step = int(parse_qs(server.asked[-1]).get("page_size", ["100"])[0])
        start = (page - 1) * (step if offset == "by the page asked for" else size)
        return rows[start : start + size]

    server.window = window
    try:
        read = collect(server)
    except ReadError:
        # What came does not fit together, but nothing tells that the pages are smaller: the only
        # one that was short is the last that came.
        assert total == "small" or (total == "first" and rows <= 200)
        return
    # a single short page may just as well be the last one
    if not (total == "small" and offset == "by the page asked for" and rows <= 200):
        assert read == server.rows
    assert len({row["id"] for row in read}) == len(read)
    assert len(server.asked) <= rows / min(cap, 30) + 2 * rows / 100 + 5


@pytest.mark.parametrize(
    ("rows", "cap", "total", "steps_as_asked", "first", "then"),
    [
        (30, 7, "always", False, 2, 5),
        (30, 7, "always", True, 4, 5),
        (30, 7, "first", False, 2, 6),
        (30, 7, "first", True, 8, 6),
        (30, 7, "never", False, 2, 6),
        (14, 7, "always", False, 2, 2),
        (14, 7, "always", True, 2, 0),
        (14, 7, "first", False, 4, 3),
        (14, 4, "always", False, 4, 4),  # at first, the second page may be the last
    ],
)
def test_smaller_pages_cost_one_reading_where_they_show(
    rows: int, cap: int, total: str, steps_as_asked: bool, first: int, then: int
):
    """So many requests with the size of the first page, then so many with what the API has."""
    server = Server(numbered(rows), 10, cap)

    def window(rows: Rows, page: int, size: int) -> Rows:
        step = size
        if steps_as_asked and server.asked[-1]:
            step = int(parse_qs(server.asked[-1])["page_size"][0])
        return rows[(page - 1) * step :][:size]

    server.window = window
    server.total = {
        "always": lambda n, rows: rows,
        "first": lambda n, rows: rows if "page=" not in server.asked[-1] else ...,
        "never": lambda n, rows: None,
    }[total]
    assert collect(server) == server.rows
    smaller = [query for query in server.asked if query.endswith(f"page_size={cap}")]
    assert (len(server.asked) - len(smaller), len(smaller)) == (first, then)


def test_rows_without_a_key_and_repeated_rows_have_come():
    rows: Rows = [*numbered(8), {"id": None}, {"name": "n"}, *numbered(12)[8:], {"id": [1]}, {}]
    server = Server(rows)
    assert collect(server) == rows
    assert len(server.asked) == 2


@pytest.mark.parametrize("total", [2, 3, 4, 5])
def test_a_row_twice_on_a_page_does_not_hide_another(total: int):
    rows: Rows = [{"id": key} for key in "aabcd"]
    server = Server(rows, 2, total=lambda n, rows: total)
    assert collect(server) == rows


def test_a_row_twice_in_a_whole_list():
    rows: Rows = [{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b"}]
    server = Server(rows, window=all_rows)
    assert collect(server) == rows


def test_one_id_of_several_accounts_on_several_pages():
    # a network account's list has the rows of its children
    rows = [{"id": f"{place:03}", "account_id": name} for name in "abc" for place in range(7)]
    server = Server(rows, size=5)
    assert collect(server) == rows
    assert len(server.asked) == 5


def test_keys_of_other_json_types_are_the_same_key():
    rows: Rows = [{"id": 1}, {"id": "2"}, {"id": 2.0}, {"id": 3}]
    server = Server(rows, 2)
    with pytest.raises(ReadError, match="sends the row 2 on two pages"):
        collect(server)


def test_rows_without_an_end(monkeypatch):
    monkeypatch.setattr(pagination, "_MOST_PAGES", 20)
    numbers = count()
    server = Server([], total=lambda n, rows: 10**30)
    server.window = lambda rows, page, size: [{"id": next(numbers)} for _ in range(size)]
    with pytest.raises(ReadError, match="still sends new rows, 200 by now"):
        collect(server)
    assert len(server.asked) == 20


def test_other_parameters_stay():
    server = Server(numbered(25))
    session = requests.Session()
    session.mount("http://", server)
    paginator = NumberedPages(list_key(RESOURCES["campaign_items"]))
    client = RESTClient("http://api", session=session, paginator=paginator)
    for _ in range(2):  # the same paginator, for one list after the other
        params = {"fields": "all"}
        read = client.paginate("/l", params=params, paginator=paginator, data_selector="results")
        assert [row for page in read for row in page] == server.rows
    asked = ["fields=all", "fields=all&page=2&page_size=10", "fields=all&page=3&page_size=10"]
    assert server.asked == asked * 2
    # also where a list is read again, in pages that are smaller
    server.cap = 7
    pages_of = client.paginate("/l", params={"fields": "all"}, data_selector="results")
    assert [row for page in pages_of for row in page] == server.rows
    assert "fields=all&page=1&page_size=7" in server.asked
