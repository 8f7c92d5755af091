"""What an entry in the settings may say, and the one line that says why it may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from analytics_assets.choice import chosen_reports, chosen_resources, kept_histories
from analytics_assets.errors import SettingsError
from analytics_assets.factory import build_definitions
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleData, cli
from analytics_assets.schema import Column, Report
from analytics_assets.settings import api_settings, platform_settings
from analytics_assets_tests.testing.commands import invoke

SECTION = "sources.analytics.resources"
VARIABLE = "SOURCES__ANALYTICS__RESOURCES"
PATH = 'path = "/v1/{account_id}/publishers"'

Add = Callable[..., None]


def entry(text: str, name: str = "publishers") -> str:
    return f"[{SECTION}.{name}]\n{text}\n"


def test_without_an_entry_the_table_is_the_packages(home):
    assert platform_settings().resources == api_settings().resources == RESOURCES


def test_what_is_not_said_is_as_in_most_entries(home, toml: Add):
    toml(entry(PATH))
    found = platform_settings().resources
    own = found["publishers"]
    assert api_settings().resources == found
    assert (own.key, own.parent, own.data_selector) == (("account_id", "id"), "accounts", "results")
    text = "A part of the row's key."
    assert own.columns == (Column("id", "text", nullable=False, description=text),)
    assert own.is_open
    assert list(found) == [*RESOURCES.lists, "publishers", *RESOURCES.reports]


def test_a_list_below_rows_takes_their_id(home, toml: Add):
    toml(
        entry('path = "/v1/{account_id}/rules/{parent_id}/hits"\nparent = "audience_rules"', "hits")
    )
    own = platform_settings().resources["hits"]
    assert own.parent_column == "audience_rule_id"
    assert Column("audience_rule_id", "bigint", nullable=False) in own.columns


def test_columns_as_a_text_and_as_dlts_hints(home, toml: Add):
    text = 'columns = "id bigint !, size double"'
    hints = (
        'columns = {id = {data_type = "bigint", nullable = false, description = "Its number."},'
        ' size = "double"}'
    )
    toml(entry(f"{PATH}\n{text}") + entry(f'path = "/v1/{{account_id}}/b"\n{hints}', "others"))
    found = platform_settings().resources
    assert found["publishers"].columns == found["others"].columns
    assert found["others"].columns[0].description == "Its number."


@pytest.mark.parametrize("key", ["site, size", '["site", "size"]'])
def test_a_key_in_the_environment(home, toml: Add, monkeypatch, key: str):
    toml(entry(PATH))
    monkeypatch.setenv(f"{VARIABLE}__PUBLISHERS__PRIMARY_KEY", key)
    assert platform_settings().resources["publishers"].key == ("account_id", "site", "size")


def test_a_report_has_its_day_in_its_key(home, toml: Add):
    toml(entry(f'{PATH}\nprimary_key = "site"\nreport = {{day_column = "day", has_days = false}}'))
    own = platform_settings().resources["publishers"]
    assert own.report == Report(day_column="day", has_days=False)
    assert own.key == ("account_id", "day", "site")
    assert [(c.name, c.type) for c in own.columns] == [("day", "date"), ("site", "text")]


def test_the_environment_wins_key_by_key(home, toml: Add, monkeypatch):
    toml(entry(f'{PATH}\ncolumns = "site text"'))
    monkeypatch.setenv(f"{VARIABLE}__PUBLISHERS__ENDPOINT__PATH", "/v2/{account_id}/sites")
    with pytest.raises(SettingsError, match="has path twice"):
        platform_settings()
    monkeypatch.delenv(f"{VARIABLE}__PUBLISHERS__ENDPOINT__PATH")
    monkeypatch.setenv(f"{VARIABLE}__PUBLISHERS__PATH", "/v2/{account_id}/sites")
    monkeypatch.setenv(VARIABLE, json.dumps({"others": {"path": "/v2/{account_id}/others"}}))
    found = platform_settings().resources
    assert found["publishers"].path == "/v2/{account_id}/sites"
    assert "site" in {column.name for column in found["publishers"].columns}
    assert found["others"].path == "/v2/{account_id}/others"
    assert api_settings().resources == found


def test_a_path_of_the_packages_can_be_changed_and_nothing_else(home, toml: Add, monkeypatch):
    toml(entry('path = "/v1/{account_id}/campaigns/{parent_id}/videos"', "motion_ads"))
    found = platform_settings().resources
    videos = replace(RESOURCES["motion_ads"], path="/v1/{account_id}/campaigns/{parent_id}/videos")
    assert dict(found) == {**RESOURCES, "motion_ads": videos}
    assert list(found) == list(RESOURCES)
    for key, value in (("PRIMARY_KEY", "uuid"), ("COLUMNS", "id bigint"), ("PARENT", "audiences")):
        with monkeypatch.context() as patch:
            patch.setenv(f"{VARIABLE}__MOTION_ADS__{key}", value)
            with pytest.raises(SettingsError, match=f"motion_ads.{key.lower()} would change"):
                platform_settings()
    monkeypatch.setenv(f"{VARIABLE}__MOTION_ADS__PATH", "/v1/{account_id}/videos")
    with pytest.raises(SettingsError, match="has other placeholders than the package's own"):
        platform_settings()


def test_the_columns_name_for_a_parents_id(home, toml: Add):
    toml(entry(f'{CHILD} "campaigns"\nparent_column = "of_campaign"', "sites"))
    own = platform_settings().resources["sites"]
    assert own.parent_column == "of_campaign"
    assert [column.name for column in own.columns] == ["of_campaign", "id"]


def test_a_report_is_read_unless_it_is_skipped(home, toml: Add, monkeypatch):
    toml(entry(f"{PATH}\nreport = {{}}"))
    assert chosen_reports(platform_settings()) == ("publishers",)
    monkeypatch.setenv("ANALYTICS__SKIP_RESOURCES", "publishers")
    assert chosen_reports(platform_settings()) == ()
    assert "publishers" not in chosen_resources(platform_settings())


def test_a_history_may_ignore_what_is_not_declared(home, toml: Add, monkeypatch):
    toml(entry(PATH))
    monkeypatch.setenv("ANALYTICS__HISTORY", "publishers")
    monkeypatch.setenv("ANALYTICS__HISTORY_IGNORE", "publishers.seen")
    assert kept_histories(platform_settings()) == {"publishers": frozenset({"seen"})}
    monkeypatch.setenv("ANALYTICS__HISTORY_IGNORE", "publishers.id")
    with pytest.raises(SettingsError, match="no column of publishers beside its key"):
        kept_histories(platform_settings())


def test_the_sample_api_serves_it(home, toml: Add, monkeypatch):
    served: list[SampleData] = []

    async def serve(data: SampleData, *more: object) -> None:
        served.append(data)

    monkeypatch.setattr(cli, "_serve", serve)
    toml(entry(f'{PATH}\ncolumns = "site text !"'))
    assert invoke("sample-api", "--accounts=1").exit_code == 0
    [data] = served
    assert all({"id", "site"} <= row.keys() for row in data.table("publishers"))
    assert data.table("publishers")


CHILD = 'path = "/v1/{account_id}/publishers/{parent_id}/sites"\nparent ='


@pytest.mark.parametrize(
    ("text", "problem", "advice"),
    [
        (entry('pth = "/v1"'), "no key 'pth' in [", "(did you mean path?): set some of path, data"),
        (entry('endpoint = {url = "/"}'), "no key 'url' in [", "set some of path, data_selector"),
        (entry(f"{PATH}\nreport = {{day = 1}}"), "no key 'day' in [", "set some of day_column"),
        (entry('columns = "id text"'), "publishers has no path", f"set {SECTION}.publishers.path"),
        (entry("path = 7"), "publishers.path is no text", "set it to one, in quotes"),
        (entry('path = "https://x.example/v1/{account_id}"'), "no path below the base URL", "set"),
        (entry('path = "//x.example/v1/{account_id}"'), "no path below the base URL", "set it"),
        (entry('path = "/v1/{account_id}/a?b=1"'), "no path below the base URL", "set it"),
        (entry('path = "/v1/{account}/a"'), "has {account} in its path", "{account_id}"),
        (entry('path = "/v1/{account_id}/{account_id:>9}"'), "has {account_id:>9} in", "check"),
        (entry('path = "/v1/{account_id}/{a"'), "a brace too many or too few", "check"),
        (entry('path = "/v1/a"'), "has no {account_id} in its path", "check its keys"),
        (entry('path = "/{version}/{account_id}/campaigns"'), "is that of campaigns", "another"),
        (
            entry('path = "/{version}/{account_id}/campaigns/{account_id}/items"'),
            "is that of campaign_items",
            "another",
        ),
        (
            entry('path = "/{version}/{account_id}/universal_pixel/conversion_rule"', "audiences"),
            "audiences.path is that of conversion_rules",
            "another",
        ),
        (entry('path = "/v1/{account_id}/a/{parent_id}"'), "'accounts' is the parent", "another"),
        (entry(f'{PATH}\nparent = "campaigns"'), "parent needs {parent_id} in the path", "set it"),
        (entry(f'{CHILD} "nobody"'), "is 'nobody', which is no resource", "set it to one of acc"),
        (entry(f'{CHILD} "publishers"'), "leads back to itself", "below accounts"),
        (
            entry(f'{CHILD} "b"', "a") + entry(f'{CHILD.replace("sites", "c")} "a"', "b"),
            "leads back to itself (a, b are",
            "below accounts",
        ),
        (entry(f'{CHILD} "campaign_performance"'), "which is a report", "check its keys"),
        (entry(f"{CHILD} 'campaigns'\nreport = {{}}"), "though it is a report", "check its keys"),
        (entry(f'{PATH}\ncolumns = "id varchar"'), "cannot read the column 'id varchar'", "bigint"),
        (entry(f'{PATH}\ncolumns = {{id = "uuid"}}'), "columns.id has the type 'uuid'", "of text,"),
        (entry(f"{PATH}\ncolumns = {{id = {{}}}}"), "columns.id has the type None", "one of text"),
        (entry(f"{PATH}\ncolumns = 1"), "columns is neither a text nor a table", "set it to one"),
        (entry(f'{PATH}\ncolumns = {{Id = "text"}}'), "columns.Id", "set a name of small letters"),
        (entry(f'{PATH}\ncolumns = "account_id bigint"'), "declares 'account_id'", "check"),
        *(
            (entry(f'{PATH}\ncolumns = "{name} text"'), f"has the column {name!r}", "small letters")
            for name in ("siteId", "aä", "a_", "a__v_text", "a" * 64, "xmin", "surplus_fields")
        ),
        (entry(f'{PATH}\nprimary_key = "siteId"'), "has the column 'siteId'", "one of a key"),
        (entry(f'{PATH}\nreport = {{day_column = "Day"}}'), "has the column 'Day'", "small"),
        (entry(f'{CHILD} "campaigns"\nparent_column = "of id"'), "the column 'of id'", "small"),
        (entry(f'{PATH}\ncolumns = "id json"'), "has 'id' in its key", "text, bigint, date"),
        (entry(f"{PATH}\nprimary_key = 1"), "primary_key is no name or list", "set it to one"),
        (entry(f'{PATH}\nprimary_key = "a, "'), "primary_key is no name or list", "set it to one"),
        (entry(f'{PATH}\ndata_selector = "a[0]"'), "data_selector is no path", "data.items"),
        (entry(f'{PATH}\ndata_selector = "$"\nreport = {{}}'), "data_selector", "set it to"),
        (entry(f'{PATH}\nwrite_disposition = "append"'), "write_disposition is not", "merge"),
        (entry(f'{PATH}\nreport = {{has_days = "maybe"}}'), "neither true nor false", "set it"),
        (entry(f'{PATH}\nreport = {{day_column = "a b"}}'), "report.day_column is no name", "set"),
        (entry(f'{PATH}\nreport = "daily"'), "report is no table", "set some of day_column"),
        *(
            (entry(PATH, f'"{name}"'), f"has the name {name!r}", "set one of small letters")
            for name in ("Publishers", "_dlt_loads", "my-list", "a__b", "day_totals", "x" * 51, "7")
        ),
        (entry(PATH, "campaigns_history"), "ends with _history", "check its keys"),
        ('[sources.analytics]\nresources = {a = "b"}', "resources.a is no table", "a.path"),
        (f"[[{SECTION}]]\n{PATH}", "is a list", "set `name` in each entry"),
        ("[sources.analytics.resource_defaults]\nid = 1", "no key 'id' in [", "set some of prim"),
    ],
)
def test_what_cannot_be(home, toml: Add, text: str, problem: str, advice: str):
    toml(text)
    for ask in (platform_settings, api_settings, build_definitions):
        with pytest.raises(SettingsError) as error:
            ask()
        line = str(error.value)
        assert problem in line
        assert advice in line[line.index(problem) :]
        assert SECTION.rpartition(".")[0] in line
        assert "\n" not in line


def test_a_variable_that_is_no_json(home, monkeypatch):
    monkeypatch.setenv(f"{VARIABLE}__PUBLISHERS", '{"path": ')
    with pytest.raises(SettingsError, match=f"{VARIABLE}__PUBLISHERS is no JSON"):
        platform_settings()


def test_what_columns_and_tables_say_of_themselves_unless_they_are_told(home, toml: Add):
    toml(
        entry(
            f'{PATH}\nprimary_key = "site, size"\nreport = {{}}\ndescription = "Where ads are."\n'
            'columns = {site = {data_type = "text"}, seen = "bigint"}'
        )
        + entry(f'{CHILD} "campaigns"', "sites")
    )
    found = platform_settings().resources
    own, below = found["publishers"], found["sites"]
    assert own.report == Report()
    assert own.key == ("account_id", "date", "site", "size")
    assert own.description == "Where ads are."
    assert [(c.name, c.type, c.nullable, c.description) for c in own.columns] == [
        ("site", "text", True, ""),
        ("seen", "bigint", True, ""),
        ("date", "date", False, "The day."),
        ("size", "text", False, "A part of the row's key."),
    ]
    assert below.description == "Rows of sites, as the settings declare them."
    first, *_ = below.columns
    assert (first.name, first.type, first.nullable) == ("campaign_id", "text", False)
    text = "The row that it belongs to: campaigns.id of the same account."
    assert first.description == text


def test_a_day_is_in_the_key_of_a_report_and_nothing_else_unless_it_is_told(home, toml: Add):
    toml(entry(f'{PATH}\nreport = {{has_days = true, first_day_parameter = "From"}}'))
    own = platform_settings().resources["publishers"]
    assert own.key == ("account_id", "date")
    assert own.report == Report(has_days=True, first_day_parameter="From")


def test_an_endpoint_is_a_path_or_a_table_as_dlt_has_it(home, toml: Add):
    toml(
        entry('endpoint = "{version}/{account_id}/publishers"')
        + entry('endpoint = {path = "/v2/{account_id}/b", data_selector = "data.items"}', "others")
        + entry('endpoint = "/v2/{account_id}/campaigns"', "campaigns")
    )
    found = platform_settings().resources
    assert found["publishers"].path == "/{version}/{account_id}/publishers"
    assert (found["others"].path, found["others"].data_selector) == (
        "/v2/{account_id}/b",
        "data.items",
    )
    assert found["campaigns"] == replace(RESOURCES["campaigns"], path="/v2/{account_id}/campaigns")


@pytest.mark.parametrize(
    "text",
    [
        'primary_key = "id"',
        'primary_key = ["account_id", "id"]',
        'primary_key = ["id"]',
        'parent = "campaigns"',
        'parent_column = "campaign_id"',
        'data_selector = "results"',
    ],
)
def test_to_say_of_the_packages_own_what_is_so_changes_nothing(home, toml: Add, text: str):
    toml(entry(text, "campaign_items"))
    assert platform_settings().resources == RESOURCES


@pytest.mark.parametrize(
    "key", ["path", "data_selector", "parent", "parent_column", "description", "endpoint.path"]
)
def test_what_has_to_be_a_text(home, toml: Add, key: str):
    path = "" if "path" in key else f"{PATH}\n"
    toml(entry(f"{path}{key} = 7"))
    said = f"^{SECTION}.publishers.{key.removeprefix('endpoint.')} is no text: set it to one, in"
    with pytest.raises(SettingsError, match=said):
        platform_settings()


@pytest.mark.parametrize("path", ["/v1/{account_id}/campaigns/", "/v1/{account_id}/campaigns"])
def test_a_path_is_another_one_though_its_placeholders_are_called_otherwise(
    home, toml: Add, path: str
):
    toml(entry(f'path = "{path.replace("v1", "{version}")}"'))
    with pytest.raises(SettingsError, match=r"publishers.path is that of campaigns: set another"):
        platform_settings()
    toml(entry('path = "/{version}/{account_id}/a/{parent_id}/b"\nparent = "campaigns"'))
    assert "publishers" in platform_settings().resources


@pytest.mark.parametrize(("version", "is_same"), [("v1", True), ("v2", False)])
def test_a_version_that_is_written_out_may_be_that_of_the_setting(
    home, toml: Add, monkeypatch: pytest.MonkeyPatch, version: str, is_same: bool
):
    for key in ("BASE_URL", "TOKEN_URL"):
        monkeypatch.setenv(f"SOURCES__ANALYTICS__{key}", "https://api.example")
    for key in ("CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"SOURCES__ANALYTICS__{key}", "any")
    toml(entry(f'path = "/{version}/{{account_id}}/campaigns"'))
    if not is_same:
        assert "publishers" in api_settings().resources
        return
    said = "campaigns and publishers have the same path where api_version is v1: set another path"
    with pytest.raises(SettingsError, match=said):
        api_settings()


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        ('data_type = "text", nullable = "no"', ".id: set `nullable` to true or false, and no"),
        ('data_type = "text", name = "key"', ".id: set `nullable` to true or false, and no other"),
        ('data_type = "text", nulable = true', ".id] (did you mean nullable?): set some of data"),
    ],
)
def test_what_a_columns_hints_cannot_be(home, toml: Add, hints: str, said: str):
    toml(entry(f"{PATH}\ncolumns = {{id = {{{hints}}}}}"))
    with pytest.raises(SettingsError) as error:
        platform_settings()
    assert f"{SECTION}.publishers.columns{said}" in str(error.value)
