"""The audit tells what tables hold: tried on tables that no load of ours would leave."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import dlt
import pytest
from dlt import Pipeline

from analytics_assets.resources import RESOURCES
from analytics_assets.warehouse.audit import NO_ROWS, AccountAudit, audit, row_counts
from analytics_assets.warehouse.columns import StoredColumn, TableColumns
from analytics_assets_tests.testing.marks import both_warehouses

TYPES = {
    "bigint": "BIGINT",
    "double": "DOUBLE PRECISION",
    "bool": "BOOLEAN",
    "json": "JSON",
    "date": "DATE",
}

pytestmark = [pytest.mark.usefixtures("home"), both_warehouses]


@pytest.fixture
def pipeline(tmp_path: Path, warehouse: Mapping[str, str]) -> Pipeline:
    credentials = warehouse.get("DESTINATION__POSTGRES__CREDENTIALS")
    destination = (
        dlt.destinations.postgres(credentials)
        if credentials
        else dlt.destinations.duckdb(str(tmp_path / "audit.duckdb"))
    )
    made = dlt.pipeline("audit", str(tmp_path), destination=destination, dataset_name="ads")
    with made.sql_client() as client:
        client.execute_sql("CREATE SCHEMA ads")
    return made


def table(
    pipeline: Pipeline, name: str, rows: list[dict[str, object]], **others: StoredColumn
) -> TableColumns:
    """Makes a table with the declared columns, and others, and with these rows."""
    columns = TableColumns.of(RESOURCES[name], others)
    with pipeline.sql_client() as client:
        place, escape = client.make_qualified_table_name(name), client.escape_column_name
        types = columns.types | {"_dlt_load_id": "text"}
        declared = (f"{escape(key)} {TYPES.get(type_, 'TEXT')}" for key, type_ in types.items())
        client.execute_sql(f"CREATE TABLE {place} ({', '.join(declared)})")
        for row in rows:
            keys, values = ", ".join(map(escape, row)), ", ".join(["%s"] * len(row))
            client.execute_sql(f"INSERT INTO {place} ({keys}) VALUES ({values})", *row.values())
    return columns


def campaign(account_id: str, row_id: str | None, **values: object) -> dict[str, object]:
    needed = {"account_id": account_id, "id": row_id, "_dlt_load_id": "1700000000.5"}
    return needed | values


def item(
    account_id: str, row_id: str, campaign_id: str | None, **values: object
) -> dict[str, object]:
    return campaign(account_id, row_id, campaign_id=campaign_id, **values)


def test_rows_and_when_they_were_loaded(pipeline):
    rows = [
        campaign("a", "1"),
        campaign("a", "2", _dlt_load_id="1700000001.5"),
        campaign("b", "1", _dlt_load_id="by hand"),
        campaign("c", "1", _dlt_load_id=None),
    ]
    columns = {"campaigns": table(pipeline, "campaigns", rows)}
    assert row_counts(pipeline, columns) == {"campaigns": {"a": 2, "b": 1, "c": 1}}
    assert audit(pipeline, columns, {"audiences": None, "campaigns": None}) == {
        "campaigns": {
            "a": AccountAudit(2, 0, 0, 1700000001.5),
            "b": AccountAudit(1, 0, 0, None),
            "c": AccountAudit(1, 0, 0, None),
        }
    }


def test_an_empty_table(pipeline):
    columns = {"campaigns": table(pipeline, "campaigns", [])}
    assert audit(pipeline, columns, dict.fromkeys(columns)) == {"campaigns": {}}


def test_duplicates_are_those_beyond_the_first_of_an_account(pipeline):
    rows = [campaign("a", "1"), campaign("a", "1"), campaign("a", "1"), campaign("a", "2")]
    columns = {"campaigns": table(pipeline, "campaigns", [*rows, campaign("b", "1")])}
    found = audit(pipeline, columns, dict.fromkeys(columns))["campaigns"]
    assert {account: (of.rows, of.duplicates) for account, of in found.items()} == {
        "a": (4, 2),
        "b": (1, 0),
    }


def test_missing_values(pipeline):
    """A required column is filled, too, where the value is in a column beside it."""
    beside = {"id__v_bigint": StoredColumn("bigint", variant=True)}
    rows = [campaign("a", None), campaign("a", None, id__v_bigint=7), campaign("b", "1")]
    columns = {"campaigns": table(pipeline, "campaigns", rows, **beside)}
    found = audit(pipeline, columns, dict.fromkeys(columns))["campaigns"]
    assert (found["a"].missing, found["b"].missing) == ({"id": 1}, {})
    assert (found["a"].variants, found["b"].variants) == ({"id__v_bigint": 1}, {})


def test_values_of_other_types_and_unknown_fields(pipeline):
    others = {
        "cpc__v_text": StoredColumn("text", variant=True),
        "größe": StoredColumn("text", field="größe"),
        'o"dd': StoredColumn("bigint", field='o"dd'),
        "somebodys": StoredColumn("text", known=False),
    }
    rows = [
        campaign("a", "1", cpc__v_text="much", größe="L"),
        campaign("a", "2", größe="XL", somebodys="x"),
        campaign("b", "1", **{'o"dd': 0}),
    ]
    columns = {"campaigns": table(pipeline, "campaigns", rows, **others)}
    found = audit(pipeline, columns, dict.fromkeys(columns))["campaigns"]
    assert found["a"].variants == {"cpc__v_text": 1}
    assert found["a"].unknown == {"größe": 2}
    assert (found["b"].variants, found["b"].unknown) == ({}, {'o"dd': 1})


def test_orphans(pipeline):
    parents = table(pipeline, "campaigns", [campaign("a", "1"), campaign("a", "1")])
    rows = [
        item("a", "1", "1"),  # its parent is there, twice
        item("a", "2", "2"),
        item("a", "3", None),
        item("b", "1", "1"),  # another account's
        item("b", "1", "9"),
    ]
    columns = {"campaigns": parents, "campaign_items": table(pipeline, "campaign_items", rows)}
    found = audit(pipeline, columns, {"campaign_items": None})["campaign_items"]
    assert {account: (of.rows, of.orphans, of.duplicates) for account, of in found.items()} == {
        "a": (3, 2, 0),
        "b": (2, 2, 1),
    }
    alone = {"campaign_items": columns["campaign_items"]}
    assert audit(pipeline, alone, dict.fromkeys(alone))["campaign_items"]["b"].orphans == 0


def test_ids_that_cannot_be_compared(pipeline):
    parents = table(pipeline, "campaigns", [campaign("a", "1")])
    children = table(
        pipeline, "campaign_items", [item("a", "1", "5")], campaign_id=StoredColumn("bigint")
    )
    columns = {"campaigns": parents, "campaign_items": children}
    assert audit(pipeline, columns, dict.fromkeys(columns))["campaign_items"]["a"].orphans == 0


ODD = ["o'dd", "a\\", "100%s", "{x}", "a\nb", ""]


def test_what_is_asked_of_some_accounts(pipeline):
    """The others' rows, of children and parents, are not looked at."""
    asked = ["a", *ODD, "without rows"]
    parents = [campaign(account, "1") for account in ("a", "b", *ODD)]
    rows = [item(account, id_, "1") for account in ("a", "b", *ODD) for id_ in ("1", "2")]
    columns = {
        "campaigns": table(pipeline, "campaigns", parents),
        "campaign_items": table(pipeline, "campaign_items", [*rows, item("a", "3", "2")]),
    }
    counts = row_counts(pipeline, ["campaign_items"], asked)["campaign_items"]
    assert counts == {"a": 3, **dict.fromkeys(ODD, 2)}
    found = audit(pipeline, columns, {"campaign_items": asked})["campaign_items"]
    assert {account: (of.rows, of.orphans) for account, of in found.items()} == {
        "a": (3, 1),
        **dict.fromkeys(ODD, (2, 0)),
        "without rows": (0, 0),
    }
    assert audit(pipeline, columns, {"campaigns": []}) == {"campaigns": {}}


@pytest.mark.parametrize("accounts", [None, ["a", "b", "c"]])
def test_a_report_from_a_day_on(pipeline, accounts):
    """Rows and days are counted all the same; what is wrong before that day is not looked at."""

    def day(account_id: str, of: str, campaign_id: str) -> dict[str, object]:
        needed = {"account_id": account_id, "campaign": campaign_id, "_dlt_load_id": "1.5"}
        return needed | {"date": date.fromisoformat(of)}

    rows = [
        *(day("a", "2026-01-01", "gone"), day("a", "2026-01-01", "gone")),
        *(day("a", "2026-01-03", "gone"), day("a", "2026-01-04", "1"), day("a", "2026-01-04", "1")),
        *(day("b", "2026-01-01", "1"), day("b", "2026-01-01", "1")),
    ]
    columns = {
        "campaigns": table(pipeline, "campaigns", [campaign("a", "1")]),
        "campaign_performance": table(pipeline, "campaign_performance", rows),
    }
    named = {"campaign_performance": accounts}
    since = {"campaign_performance": date(2026, 1, 3)}
    found = dict(audit(pipeline, columns, named, since)["campaign_performance"])
    assert found.pop("c", None) == (NO_ROWS if accounts else None)
    assert found == {
        "a": AccountAudit(rows=5, duplicates=1, orphans=1, loaded_at=1.5, missing_days=1),
        "b": AccountAudit(rows=2, duplicates=0, orphans=0, loaded_at=None),
    }
    of_all = audit(pipeline, columns, named)["campaign_performance"]
    assert (of_all["a"].duplicates, of_all["a"].orphans, of_all["a"].missing_days) == (2, 3, 1)
    assert (of_all["b"].duplicates, of_all["b"].orphans) == (1, 2)
