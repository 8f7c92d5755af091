from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets.sample_api.routes import Routes
from analytics_assets.schema import Resource, columns
from analytics_assets_tests.testing.client import TIMEOUT, Client, Start

FIRST = "acme-0001-sc"
ACCOUNTS = "/v1/users/current/allowed-accounts"
CAMPAIGNS = f"/v1/{FIRST}/campaigns/"


def spelled(rows: list[dict[str, Any]]) -> list[str]:
    """Rows so that 1, 1.0 and True differ."""
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


@pytest.mark.parametrize("name", RESOURCES.lists)
def test_serves_exactly_the_table(start: Start, name: str) -> None:
    client = start()
    expected = client.api.data.table(name)
    assert expected
    assert spelled(client.table(name)) == spelled(expected)


def test_rows_of_an_account_do_not_name_it(start: Start) -> None:
    assert "account_id" not in start().rows(CAMPAIGNS)[0]


def test_serves_changes_at_once(start: Start) -> None:
    client = start()
    data = client.api.data
    for name in RESOURCES.lists:
        client.table(name)
    campaign = data.rows("campaigns", FIRST)[2]["id"]
    data.delete_row("campaigns", data.rows("campaigns", FIRST)[0]["id"], account_id=FIRST)
    data.update_row("campaigns", campaign, {"unknown": 2**70, "name": "\ud800"}, account_id=FIRST)
    data.add_row("motion_ads", {"id": "1"}, account_id=FIRST, parent_id=campaign)
    data.add_row("campaigns", {"id": "a/b c?%41"}, account_id=FIRST)
    data.add_row("campaign_items", {"id": "1"}, account_id=FIRST, parent_id="a/b c?%41")
    data.add_account("o'neil'); -- /é?")
    data.remove_account("globex-0002-sc")
    for name in RESOURCES.lists:
        assert spelled(client.table(name)) == spelled(data.table(name))


def test_the_answer_has_results_and_metadata(start: Start) -> None:
    response = start().get(CAMPAIGNS)
    assert response.headers["Content-Type"] == "application/json"
    assert set(response.json()) == {"results", "metadata"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/nobody/campaigns/", 404),
        (f"/v1/{FIRST}/campaigns/1/items/", 404),
        (f"/v1/{FIRST}/nothing", 404),
        ("/", 404),
    ],
)
def test_what_is_not_there(start: Start, path: str, status: int) -> None:
    response = start().get(path)
    assert response.status_code == status
    assert response.json()["http_status"] == status
    assert response.json()["message"]


def test_what_is_below_a_deleted_campaign_is_not_there(start: Start) -> None:
    client = start()
    campaign = client.rows(CAMPAIGNS)[0]["id"]
    path = f"{CAMPAIGNS}{campaign}/items/"
    assert client.get(path).status_code == 200
    client.api.data.delete_row("campaigns", campaign, account_id=FIRST)
    assert client.get(path).status_code == 404


def test_an_account_that_was_listed_by_hand(start: Start) -> None:
    client = start()
    campaign = client.rows(CAMPAIGNS)[1]["id"]
    client.api.data.add_row("accounts", {"id": 1, "account_id": "by-hand"})
    assert client.rows("/v1/by-hand/campaigns/") == []
    assert client.get(f"/v1/by-hand/campaigns/{campaign}/items/").status_code == 404


def test_a_forbidden_account(start: Start) -> None:
    client = start(forbidden_accounts={FIRST})
    response = client.get(CAMPAIGNS)
    assert (response.status_code, response.json()["http_status"]) == (403, 403)
    assert client.get("/v1/globex-0002-sc/campaigns/").status_code == 200
    client.api.behaviour.forbidden_accounts.clear()
    assert client.get(CAMPAIGNS).status_code == 200


def test_lists_are_read_only(start: Start) -> None:
    client = start()
    url = client.api.base_url + CAMPAIGNS
    assert client.session.post(url, timeout=TIMEOUT).status_code == 405


class TestPages:
    @pytest.fixture
    def path(self) -> str:
        data = SampleData.generate(accounts=1, campaigns=1)
        return f"{CAMPAIGNS}{data.rows('campaigns', FIRST)[0]['id']}/items/"

    @pytest.fixture
    def data(self) -> SampleData:
        return SampleData.generate(accounts=1, campaigns=1, items=7)

    def test_a_list_in_pages(self, start: Start, path: str, data: SampleData) -> None:
        client = start(data, page_size=3)
        pages = [client.get(path, params={"page": page}).json() for page in (1, 2, 3, 4)]
        rows = [row for page in pages for row in page["results"]]
        assert spelled(rows) == spelled(data.rows("campaign_items", FIRST, path.split("/")[4]))
        assert [page["metadata"] for page in pages] == [
            {"total": 7, "count": count} for count in (3, 3, 1, 0)
        ]
        assert client.get(path).json() == pages[0]

    @pytest.mark.parametrize(("asked", "sent"), [(2, 2), (5, 5), (6, 5), (1000, 5)])
    def test_the_client_may_ask_for_smaller_pages(
        self, start: Start, path: str, data: SampleData, asked: int, sent: int
    ) -> None:
        client = start(data, page_size=5)
        assert len(client.rows(path, params={"page_size": asked})) == sent

    @pytest.mark.parametrize(
        "query", [{"page": 0}, {"page": "x"}, {"page": ""}, {"page_size": 0}, {"page_size": -1}]
    )
    def test_pages_that_cannot_be(
        self, start: Start, path: str, data: SampleData, query: dict[str, Any]
    ) -> None:
        assert start(data, page_size=5).get(path, params=query).status_code == 400

    @pytest.mark.parametrize("behaviour", [{}, {"page_size": 2, "ignores_page": True}])
    def test_a_server_without_pages_ignores_them(
        self, start: Start, path: str, data: SampleData, behaviour: dict[str, Any]
    ) -> None:
        answer = start(data, **behaviour).get(path, params={"page": 3, "page_size": 2}).json()
        assert len(answer["results"]) == 7
        assert answer["metadata"] == {}

    def test_pages_can_begin_while_the_server_runs(
        self, start: Start, path: str, data: SampleData
    ) -> None:
        client = start(data)
        sent = []
        for size in (None, 2, 3):
            client.api.behaviour.page_size = size
            sent.append(len(client.rows(path)))
        assert sent == [7, 2, 3]

    def test_other_lists_have_no_pages(self, start: Start) -> None:
        data = SampleData.generate(accounts=1, campaigns=9)
        client = start(data, page_size=2)
        assert len(client.rows(CAMPAIGNS, params={"page": 2})) == 9


def test_a_prefix(start: Start) -> None:
    client = start(prefix="api/backstage/")
    assert client.api.base_url.endswith("/api/backstage")
    assert client.api.token_url.endswith(f":{client.api.port}/oauth/token")
    assert client.rows(CAMPAIGNS)
    bare = client.api.base_url.removesuffix("/api/backstage") + CAMPAIGNS
    assert client.session.get(bare, timeout=TIMEOUT).status_code == 404


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("path", [CAMPAIGNS, CAMPAIGNS[:-1], ACCOUNTS, f"{ACCOUNTS}/"])
def test_slashes_at_the_end(start: Start, strict: bool, path: str) -> None:
    found = not strict or path in (CAMPAIGNS, ACCOUNTS)
    assert start(strict_slashes=strict).get(path).status_code == (200 if found else 404)


def test_gzip_for_who_accepts_it(start: Start) -> None:
    client = start(gzip=True)
    for encodings, sent in (("gzip, deflate", "gzip"), ("identity", None)):
        response = client.get(CAMPAIGNS, headers={"Accept-Encoding": encodings})
        assert response.headers.get("Content-Encoding") == sent
        assert response.json()["results"] == client.api.data.rows("campaigns", FIRST)
    client.api.behaviour.gzip = False
    response = client.get(CAMPAIGNS, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers


@pytest.fixture
def further() -> dict[str, Resource]:
    """Two resources that the table does not have: one of accounts, one below items."""
    return {
        "pixels": Resource(
            name="pixels",
            path="/v1/{account_id}/universal_pixel/all.pixels",
            description="",
            columns=columns("id bigint !, note text !, weight double, extra json"),
        ),
        "item_reports": Resource(
            name="item_reports",
            path="/v1/{account_id}/items/{parent_id}/reports/",
            description="",
            parent="campaign_items",
            parent_column="item_id",
            columns=columns("id text !, item_id text !, clicks bigint"),
        ),
    }


@pytest.mark.parametrize("name", ["pixels", "item_reports"])
def test_a_further_resource_is_served(
    start: Start, further: dict[str, Resource], name: str
) -> None:
    data = SampleData.generate(
        accounts=2, campaigns=2, items=2, resources={**RESOURCES.lists, **further}
    )
    client = start(data)
    expected = data.table(name)
    assert len(expected) == {"pixels": 2 * 5, "item_reports": 2 * 3 * 5}[name]
    assert spelled(client.table(name)) == spelled(expected)
    assert client.get("/v1/acme-0001-sc/universal_pixel/all_pixels").status_code == 404


def test_a_literal_path_wins_over_a_parameter() -> None:
    paths = {"by_id": "/v1/{account_id}/{parent_id}/", "literal": "/v1/{account_id}/all"}
    routes = Routes(
        {name: Resource(name, path, "", columns("id text !")) for name, path in paths.items()}
    )
    assert routes.match("/v1/a/all", version="v1", strict_slashes=False) == ("literal", "a", None)
    assert routes.match("/v1/a/1", version="v1", strict_slashes=False) == ("by_id", "a", "1")


def test_many_clients_keep_their_connections(start: Start) -> None:
    client = start(latency=0.001)

    def read(number: int) -> tuple[int, int]:
        with requests.Session() as session:
            session.trust_env = False
            session.headers = client.session.headers
            ports = set()
            for _ in range(5):
                url = client.api.base_url + CAMPAIGNS
                with session.get(url, timeout=TIMEOUT, stream=True) as response:
                    connection = response.raw.connection
                    assert connection is not None
                    ports.add(connection.sock.getsockname()[1])
                    assert response.json()["results"]
            return number, len(ports)

    with ThreadPoolExecutor(64) as pool:
        assert all(connections == 1 for _, connections in pool.map(read, range(64)))
    assert client.api.log.count_by_path()[CAMPAIGNS] == 320


def test_two_servers_do_not_mix(start: Start) -> None:
    first, second = start(SampleData.generate(accounts=1, campaigns=1)), start()
    assert len(first.rows(CAMPAIGNS)) == 1
    assert len(second.rows(CAMPAIGNS)) == 4
    stranger = Client(second.api)
    stranger.session.headers = first.session.headers
    assert stranger.get(CAMPAIGNS).status_code == 401


def test_a_port_in_use() -> None:
    with SampleApi() as api, pytest.raises(OSError, match="in use"):
        SampleApi(port=api.port).start()


def test_a_port_that_cannot_be() -> None:
    with pytest.raises(OverflowError):
        SampleApi(port=2**16).start()
