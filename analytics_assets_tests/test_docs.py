"""The pages: what they link to and name exists, and their SQL runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from analytics_assets.cli import main
from analytics_assets.orchestration.asset_checks import CHECKS
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import change_warehouse, on_postgres, query

README = CHECKOUT / "README.md"
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/RESULTS.md")
PAGES = {
    str(page.relative_to(CHECKOUT)): page
    for page in (
        README,
        *(CHECKOUT / name for name in BESIDE),
        *sorted((CHECKOUT / "docs").glob("*.md")),
    )
}
all_pages = pytest.mark.parametrize("document", PAGES.values(), ids=PAGES)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")

ODD_CAMPAIGNS: tuple[dict[str, Any], ...] = (
    {"start_date": "2024-01-31 23:59:59.0", "end_date": "9999-12-31"},
    {"start_date": "soon", "end_date": ""},
    {"country_targeting": {"type": "INCLUDE", "value": ["US", "CH"]}},
    {"country_targeting": {"type": "not \0 text", "value": ["US"]}},
)


def code(document: Path) -> Iterator[str]:
    """The lines of a page's code, and what it says in code's letters within a line."""
    text = document.read_text(encoding="utf-8")
    for _, block in FENCE.findall(text):
        yield from block.splitlines()
    yield from SPAN.findall(FENCE.sub("", text))


def anchors(document: Path) -> set[str]:
    headings = re.findall(
        r"^#+ (.+)$", FENCE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@all_pages
def test_links_lead_somewhere(document: Path):
    for link in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short_and_leads_to_every_page():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert [name for name in PAGES if name != "README.md" and f"({name})" not in text] == []


@all_pages
def test_commands_exist(document: Path):
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    for line in code(document):
        for target in re.findall(r"(?:^|[;|&] )make ([a-z][a-z-]*)", line):
            assert target in targets, line
        for name, arguments in re.findall(r"\banalytics-assets ([a-z][a-z-]*)([^#|;]*)", line):
            command = main.get_command(click.Context(main), name)
            assert command is not None, line
            options = {option for known in command.params for option in known.opts}
            assert set(re.findall(r"--[a-z-]+", arguments)) <= options | {"--help"}, line


@all_pages
def test_files_exist(document: Path):
    folders = ("analytics_assets", "benchmarks", "deploy", "docs", "tools")
    named = re.compile(rf"(?:{'|'.join(folders)})/[\w./-]+\.\w+")
    for text in code(document):
        if named.fullmatch(text):
            assert (CHECKOUT / text).exists(), text


def test_the_readme_shows_the_package_as_it_is():
    package = CHECKOUT / "analytics_assets"
    (tree,) = re.findall(
        r"^analytics_assets/\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
    )
    shown = re.findall(r"\b([a-z_]+(?:\.py|/))", tree)
    assert [name for name in shown if not (package / name).exists()] == []
    folders = {f"{file.parent.name}/" for file in package.glob("*/__init__.py")}
    assert folders <= set(shown)


def test_the_checks_are_described_as_they_are():
    text = PAGES["docs/operations.md"].read_text(encoding="utf-8")
    described = re.findall(r"^\| `(\w+)` \|.*\| (error|warning) \|$", text, re.MULTILINE)
    severities = {"ERROR": "error", "WARN": "warning"}
    assert dict(described) == {
        name: severities[check.severity.value] for name, check in CHECKS.items()
    }


@both_warehouses
def test_the_queries_of_the_history_find_what_changed(
    home: Path, api: SampleApi, sync, monkeypatch
):
    monkeypatch.setenv("ANALYTICS__HISTORY", "campaigns")
    monkeypatch.setenv("ANALYTICS__HISTORY_IGNORE", "campaigns.spent")
    account = api.data.account_ids[0]
    changed, gone, *_ = api.data.rows("campaigns", account)
    changes = {"cpc": 0.875, "status": "a 'new' one", "country_targeting": {"type": "ALL"}}
    table = "analytics.campaigns_history"

    def sync_on(day: str) -> None:
        assert sync("--resource", "campaigns").exit_code == 0
        moved = f"TIMESTAMP WITH TIME ZONE '{day} 12:00:00+00'"
        for column in ("valid_from", "valid_to"):
            just_now = f"{column} > TIMESTAMP WITH TIME ZONE '2026-03-05 00:00:00+00'"
            change_warehouse(home, f"UPDATE {table} SET {column} = {moved} WHERE {just_now}")

    sync_on("2026-03-01")
    api.data.update_row("campaigns", changed["id"], changes, account_id=account)
    api.data.delete_row("campaigns", gone["id"], account_id=account)
    sync_on("2026-03-04")
    days = ", ".join(
        f"('{account}', DATE '2026-03-0{day}', '{changed['id']}', {day}, 0.5, 1)" for day in (3, 4)
    )
    change_warehouse(
        home,
        "CREATE TABLE analytics.campaign_performance (account_id varchar, date date,"
        " campaign varchar, clicks bigint, spent double precision, cpa_actions_num bigint)",
        f"INSERT INTO analytics.campaign_performance VALUES {days}",
    )
    at_a_day, in_a_week, bids, performance, lost = (
        query(home, sql) for sql in examples("docs/history.md")
    )
    assert (account, changed["id"], changed["name"], changed["cpc"]) in [r[:4] for r in at_a_day]
    assert (
        len(at_a_day) == sum(len(api.data.rows("campaigns", a)) for a in api.data.account_ids) + 1
    )
    assert {row[0] for row in in_a_week} == {changed["id"]}
    assert {row[2]: (json_of(row[3]), json_of(row[4])) for row in in_a_week} == {
        name: (changed.get(name), value) for name, value in changes.items()
    }
    assert [row[1] for row in bids if row[0] == changed["id"]] == [changed["cpc"], 0.875]
    assert [(row[2], row[4]) for row in performance] == [(changed["cpc"], 3), (0.875, 4)]
    assert [row[:2] for row in lost] == [(account, gone["id"])]


def json_of(value: Any) -> Any:
    """A value of JSON, which psycopg2 has parsed."""
    return value if on_postgres() else json.loads(value)


def examples(name: str) -> list[str]:
    """The queries of a page that are for the warehouse of the test."""
    found = FENCE.findall(PAGES[name].read_text(encoding="utf-8"))
    elsewhere = "-- DuckDB" if on_postgres() else "-- PostgreSQL"
    return [sql for kind, sql in found if kind == "sql" and not sql.startswith(elsewhere)]


@both_warehouses
def test_the_queries_run(home: Path, api: SampleApi, sync):
    account = api.data.account_ids[0]
    for row, changes in zip(api.data.rows("campaigns", account), ODD_CAMPAIGNS, strict=False):
        api.data.update_row("campaigns", row["id"], changes, account_id=account)
    assert sync().exit_code == 0
    found: list[str] = []
    for sql in examples("docs/tables.md"):
        if sql.startswith("ALTER"):
            change_warehouse(home, sql)
        else:
            rows = query(home, sql)
            assert rows, sql
            found += [str(value) for row in rows for value in row]
    assert {"2024-01-31 23:59:59", "CH"} <= set(found)
