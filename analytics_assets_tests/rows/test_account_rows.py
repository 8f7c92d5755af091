"""An account's rows on their way to files: keyed, each once, and as the API sent them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analytics_assets.errors import ReadError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows, AccountWriter, no_rows
from analytics_assets.rows.keys import parent_id_field
from analytics_assets.schema import Resource, ResourceTable, columns, resource_table

AUDIENCES, ITEMS, CAMPAIGNS = "audiences", "campaign_items", "campaigns"
BELOW = parent_id_field(RESOURCES[ITEMS])


def write(
    folder: Path,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    *names: str,
    resources: ResourceTable = RESOURCES,
) -> tuple[AccountWriter, AccountRows]:
    writer = AccountWriter(resources, "acme", names or list(rows), folder)
    for name, of_resource in rows.items():
        writer.add(name, of_resource)
    return writer, AccountRows("acme", {name: writer.close(name) for name in names or rows})


def stored(rows: AccountRows, name: str) -> list[dict[str, Any]]:
    with pa.memory_map(str(rows.resources[name].path)) as file:
        table = pa.ipc.open_stream(file).read_all().to_pylist()
        return [{key: value for key, value in row.items() if value is not None} for row in table]


def test_rows_get_their_account(tmp_path: Path):
    given = [{"id": 1, "audience_name": "a"}, {"id": 2, "account_id": "acme"}]
    _, rows = write(tmp_path, {AUDIENCES: given})
    assert stored(rows, AUDIENCES) == [
        {"account_id": "acme", "id": 1, "audience_name": "a"},
        {"account_id": "acme", "id": 2},
    ]
    assert given[0] == {"id": 1, "audience_name": "a"}  # dlt may hand the same row to others
    assert (rows.account_id, rows.count) == ("acme", 2)


def test_the_account_that_the_api_names_is_kept_beside_the_one_asked(tmp_path: Path):
    given = [
        {"id": 1, "account_id": "child"},
        {"id": 2, "account_id": "child", "api_account_id": "taken"},
    ]
    _, rows = write(tmp_path, {AUDIENCES: given})
    extras = [row["_extras"] for row in stored(rows, AUDIENCES)]
    assert extras == [
        '{"api_account_id":"child"}',
        '{"api_account_id":"taken","api_api_account_id":"child"}',
    ]
    assert rows.resources[AUDIENCES].extras == 2


def test_an_id_need_be_no_key(tmp_path: Path):
    sizes = Resource(
        "sizes",
        "/{version}/{account_id}/sizes",
        "Sizes.",
        columns("code text !, id bigint"),
        ("account_id", "code"),
        parent="accounts",
    )
    shops = Resource(
        "shops",
        "/{version}/{account_id}/sizes/{parent_id}/shops",
        "Shops.",
        columns("id text !, size_id bigint"),
        parent=sizes.name,
        parent_column="size_id",
    )
    ids: list[Any] = [{"a": 1}, [1], None, 7, 7, 8]
    given = [{"code": str(place), "id": row_id} for place, row_id in enumerate(ids)]
    resources = resource_table([*RESOURCES.values(), sizes, shops])
    writer, rows = write(tmp_path, {sizes.name: given, shops.name: []}, resources=resources)
    # with a key that came before
    writer.add(sizes.name, [{"code": "5", "id": {}}, {"code": "5", "id": 9}])
    assert rows.resources[sizes.name].rows == len(ids)
    assert rows.resources[shops.name].left_out == {"parent rows without a key": 3}
    # of rows with the same id, nothing tells whether they changed
    assert {key: bool(version) for key, version in writer.versions(sizes.name).items()} == {
        7: False,
        8: True,
    }


def test_a_key_is_let_through_once(tmp_path: Path):
    given: list[dict[str, Any]] = [
        {"id": 1, "size": 1},
        {"id": "1", "size": 2},
        {"id": 1.0, "size": 3},
        {"id": None},
        {},
        {"id": 2.0},
    ]
    writer, rows = write(tmp_path, {AUDIENCES: given})
    assert [(row["id"], row.get("size")) for row in stored(rows, AUDIENCES)] == [(1, 1), (2, None)]
    assert rows.resources[AUDIENCES].left_out == {
        "rows without a key": 2,
        "rows with the key of another": 2,
    }
    assert writer.ids(AUDIENCES) == [1, 2]
    assert writer.ids(CAMPAIGNS) == []  # which nobody has read


def test_a_parent_that_is_read_for_its_children_alone(tmp_path: Path):
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    campaigns: list[dict[str, Any]] = [
        {"id": 7, "name": deep},
        {"id": "7"},
        {"name": "without"},
        {"id": "b"},
    ]
    writer, rows = write(tmp_path, {CAMPAIGNS: campaigns, ITEMS: []}, ITEMS)
    assert writer.ids(CAMPAIGNS) == ["7", "b"]
    assert list(rows.resources) == [ITEMS]
    assert rows.resources[ITEMS].left_out == {"parent rows without a key": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["campaign_items.arrow"]


@pytest.mark.parametrize(
    ("own", "expected"), [({}, "7"), ({"campaign_id": 8}, "8"), ({"campaign_id": 8.5}, None)]
)
def test_a_child_names_its_parent(tmp_path: Path, own: dict[str, Any], expected: str | None):
    _, rows = write(tmp_path, {ITEMS: [{"id": "i", BELOW: "7", **own}]})
    (row,) = stored(rows, ITEMS)
    assert row.get("campaign_id") == expected
    assert BELOW not in row.get("_extras", "")


def test_a_parents_id_has_the_type_that_it_has_there(tmp_path: Path):
    members = Resource(
        "members",
        "/v1/{account_id}/audiences/{parent_id}/members",
        "Members.",
        columns("id text !, audience_id bigint"),
        parent=AUDIENCES,
        parent_column="audience_id",
    )
    resources = resource_table([*RESOURCES.values(), members])
    given = {members.name: [{"id": "m", "audience_id": "7"}]}
    _, rows = write(tmp_path, given, resources=resources)
    assert stored(rows, members.name) == [{"account_id": "acme", "id": "m", "audience_id": 7}]


def test_the_list_of_accounts_belongs_to_none(tmp_path: Path):
    writer = AccountWriter(RESOURCES, None, ["accounts"], tmp_path)
    writer.add("accounts", [{"account_id": "acme"}, {"account_id": "globex"}, {"id": 1}])
    rows = AccountRows(None, {"accounts": writer.close("accounts")})
    assert stored(rows, "accounts") == [{"account_id": "acme"}, {"account_id": "globex"}]
    assert rows.resources["accounts"].left_out == {"rows without a key": 1}


def test_a_value_that_is_nested_too_deep_names_its_resource(tmp_path: Path):
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ReadError, match="'extra' is nested more than 250 levels") as caught:
        write(tmp_path, {AUDIENCES: [{"id": 1, "extra": deep}]})
    assert caught.value.resource_name == AUDIENCES


def test_many_rows(tmp_path: Path):
    given = [{"id": number, **({"novel": 1} if number % 4 == 0 else {})} for number in range(4_001)]
    _, rows = write(tmp_path, {AUDIENCES: given})
    assert rows.resources[AUDIENCES].rows == 4_001
    assert rows.resources[AUDIENCES].extras == 1_001
    assert [row["id"] for row in stored(rows, AUDIENCES)] == list(range(4_001))


def test_no_rows():
    rows = no_rows("acme", [AUDIENCES, ITEMS])
    assert rows.account_id == "acme"
    assert rows.count == 0
    assert list(rows.resources) == [AUDIENCES, ITEMS]


def test_rows_of_what_is_no_longer_listed_are_left_out(tmp_path: Path):
    writer = AccountWriter(RESOURCES, "acme", [CAMPAIGNS, ITEMS, AUDIENCES], tmp_path)
    writer.add(CAMPAIGNS, [{"id": "7", "new": 1}, {"id": "8", "new": 2}])
    writer.add(ITEMS, [{"id": "i", BELOW: "7"}, {"id": "j", BELOW: "8"}, {"id": "k", BELOW: "8"}])
    writer.add(AUDIENCES, [{"id": 1}])
    writer.keep_listed(CAMPAIGNS, {"7", "9"})
    assert writer.ids(CAMPAIGNS) == ["7"]
    names = [CAMPAIGNS, ITEMS, AUDIENCES]
    rows = AccountRows("acme", {name: writer.close(name) for name in names})
    assert {name: [row["id"] for row in stored(rows, name)] for name in names} == {
        CAMPAIGNS: ["7"],
        ITEMS: ["i"],
        AUDIENCES: [1],
    }
    assert {name: rows.resources[name].rows for name in names} == dict.fromkeys(names, 1)
    assert rows.resources[CAMPAIGNS].extras == 1


def test_an_id_below_two_rows_stays_as_long_as_one_of_them(tmp_path: Path):
    key = ("account_id", "campaign_id", "id")
    reviews = Resource(
        "reviews",
        "/v1/{account_id}/items/{parent_id}/reviews",
        "Reviews.",
        columns("id text !, item_id text !"),
        parent=ITEMS,
        parent_column="item_id",
    )
    items = replace(RESOURCES[ITEMS], key=key)
    resources = resource_table([*{**RESOURCES, ITEMS: items}.values(), reviews])
    writer = AccountWriter(resources, "acme", [ITEMS], tmp_path)
    writer.add(CAMPAIGNS, [{"id": "7"}, {"id": "8"}])
    writer.add(ITEMS, [{"id": "i", BELOW: "7"}, {"id": "i", BELOW: "8"}, {"id": "j", BELOW: "8"}])
    assert writer.ids(ITEMS) == ["i", "j"]
    writer.keep_listed(CAMPAIGNS, {"7"})
    assert writer.ids(ITEMS) == ["i"]


def test_what_is_dropped_leaves_no_file(tmp_path: Path):
    writer = AccountWriter(RESOURCES, "acme", [CAMPAIGNS, ITEMS], tmp_path)
    writer.add(CAMPAIGNS, [{"id": "7"}])
    writer.drop(ITEMS)
    writer.drop(AUDIENCES)  # which was not to be written
    assert writer.close(CAMPAIGNS).rows == 1
    assert [path.name for path in tmp_path.iterdir()] == ["campaigns.arrow"]
