"""The DuckDB file: one place, in whatever form it is set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics_assets.errors import SettingsError
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.destination import make_destination
from analytics_assets.warehouse.location import (
    catalog_name,
    default_duckdb,
    duckdb_file,
    is_duckdb,
    is_missing,
    refuse_ambiguous_names,
    stored_name,
)
from analytics_assets_tests.testing.commands import CHECKOUT, Commands
from analytics_assets_tests.testing.loading import load

CREDENTIALS = "DESTINATION__DUCKDB__CREDENTIALS"
DATABASE = f"{CREDENTIALS}__DATABASE"
SECRET = "a-secret-that-must-not-show"

# imports once, and then finds out anew for each question
WHERE = """
import json, os, sys
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.destination import make_destination
from analytics_assets.warehouse.location import duckdb_file
for line in sys.stdin:
    folder, environment = json.loads(line)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    Container()[PluggableRunContext] = PluggableRunContext()
    settings = platform_settings()
    credentials = make_destination(settings).configuration(None, accept_partial=True).credentials
    found = [str(duckdb_file(settings)), credentials.database, credentials.read_only]
    print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[Path, Mapping[str, str]], list[Any]]]:
    """The file that we lock and look at, and what dlt opens, in a folder and an environment."""
    with subprocess.Popen(
        [sys.executable, "-c", WHERE],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def ask(folder: Path, environment: Mapping[str, str]) -> list[Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([str(folder), dict(environment)]) + "\n")
            process.stdin.flush()
            found: list[Any] = json.loads(process.stdout.readline())
            return found

        yield ask


@pytest.fixture
def where(
    home: Path, commands: Commands, ask: Callable[..., list[Any]]
) -> Callable[..., list[Any]]:
    """What `ask` says with these settings, asked where the commands are run."""

    def where(secrets: str = "", config: str = "", **environment: str) -> list[Any]:
        dlt = commands.folder / ".dlt"
        dlt.mkdir(exist_ok=True)
        (dlt / "secrets.toml").write_text(secrets)
        (dlt / "config.toml").write_text(config)
        own = {"HOME": str(commands.folder), **environment}
        return ask(commands.folder, {**os.environ, **own})

    return where


STRING = '[destination.duckdb]\ncredentials = "{}"\n'
TABLE = '[destination.duckdb.credentials]\ndatabase = "{}"\n'


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({CREDENTIALS: "{0}/a.duckdb"}, "a.duckdb", id="path"),
        pytest.param({CREDENTIALS: "a.duckdb"}, "a.duckdb", id="relative path"),
        pytest.param({CREDENTIALS: "~/a.duckdb"}, "a.duckdb", id="home"),
        pytest.param({CREDENTIALS: "duckdb:///{0}/a.duckdb"}, "a.duckdb", id="URL"),
        pytest.param({CREDENTIALS: "duckdb:///a%20b.duckdb?threads=1"}, "a b.duckdb", id="query"),
        pytest.param({CREDENTIALS: "a#b%20c.duckdb"}, "a#b%20c.duckdb", id="no URL"),
        pytest.param({DATABASE: "sub/a.duckdb"}, "sub/a.duckdb", id="database"),
        pytest.param({"secrets": STRING.format("a.duckdb")}, "a.duckdb", id="secrets"),
        pytest.param({"secrets": TABLE.format("~/a.duckdb")}, "a.duckdb", id="secrets, table"),
        pytest.param({"config": STRING.format("a.duckdb")}, "a.duckdb", id="config"),
        pytest.param({"config": TABLE.format("a.duckdb")}, "a.duckdb", id="config, table"),
        pytest.param(
            {"config": STRING.format("a.duckdb"), "secrets": STRING.format("b.duckdb")},
            "b.duckdb",
            id="secrets before config",
        ),
        pytest.param(
            {"secrets": TABLE.format("a.duckdb"), DATABASE: "b.duckdb"},
            "b.duckdb",
            id="environment before secrets",
        ),
        pytest.param(
            {"secrets": STRING.format("a.duckdb"), CREDENTIALS: "", DATABASE: ""},
            "a.duckdb",
            id="empty variables",
        ),
        pytest.param({"secrets": '[destination.duckdb.credentials]\nextensions = ["json"]'}, None),
        pytest.param({"secrets": 'credentials = "a.duckdb"\ndatabase = "b.duckdb"\n'}, None),
        pytest.param({CREDENTIALS: ""}, None, id="empty"),
        pytest.param({}, None, id="default"),
        pytest.param(
            {"ANALYTICS__DESTINATION": "dlt.destinations.duckdb", CREDENTIALS: "a.duckdb"},
            "a.duckdb",
            id="destination in full",
        ),
    ],
)
def test_one_place(home, commands: Commands, where, settings: dict[str, str], expected: str | None):
    folder = commands.folder
    ours, dlts, _ = where(
        **{key: value.replace("{0}", str(folder)) for key, value in settings.items()}
    )
    assert ours == dlts == str(folder / expected if expected else home / "warehouse.duckdb")


def test_what_else_the_table_holds_is_dlts(where):
    table = TABLE.format("a.duckdb") + "read_only = true\n"
    assert where(config=table)[2] is True
    assert where(secrets=table, **{DATABASE: "b.duckdb"})[2] is True


def test_a_relative_path_begins_where_dlt_says(home, commands: Commands, tmp_path: Path):
    (home / ".dlt").mkdir()
    (home / ".dlt" / "config.toml").write_text(STRING.format("a.duckdb"))
    assert commands.analytics_assets("sync").returncode == 0
    commands.environment = {"DLT_LOCAL_DIR": str(tmp_path)}
    assert commands.analytics_assets("sync").returncode == 0
    assert sorted(tmp_path.rglob("*.duckdb")) == [
        tmp_path / "a.duckdb",
        commands.folder / "a.duckdb",
    ]


@pytest.mark.parametrize(
    "value",
    [
        ":memory:",
        ":pipeline:",
        "md:analytics",
        f"postgresql://loader:{SECRET}@db.example.com:5432/warehouse",
        f"md:///analytics?motherduck_token={SECRET}",
        "duckdb://analytics.duckdb",
        "duckdb:///",
    ],
)
def test_no_place_of_a_file(home, monkeypatch, value: str):
    monkeypatch.setenv(CREDENTIALS, value)
    with pytest.raises(SettingsError, match=f"{CREDENTIALS} is no place of a DuckDB file") as error:
        make_destination(platform_settings())
    assert SECRET not in str(error.value)


def test_a_place_that_is_no_text(home, toml):
    toml("[destination.duckdb.credentials]\ndatabase = 5\n")
    with pytest.raises(SettingsError, match="is no place of a DuckDB file"):
        duckdb_file(platform_settings())


def test_every_command_means_the_same_file(home, commands: Commands):
    dlt = commands.folder / ".dlt"
    dlt.mkdir()
    (dlt / "config.toml").write_text('[destination.duckdb.credentials]\ndatabase = "mine.duckdb"\n')
    file = commands.folder / "mine.duckdb"
    before = commands.analytics_assets("doctor")
    assert f"{file} is not there yet" in before.stdout
    assert commands.analytics_assets("sync").returncode == 0
    assert f"{file} can be written" in commands.analytics_assets("doctor").stdout
    assert not list(home.rglob("*.duckdb*"))


def choose(file: str, dataset: str, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    monkeypatch.setenv(CREDENTIALS, file)
    return PlatformSettings(dataset_name=dataset)


@pytest.mark.parametrize(
    ("file", "dataset"),
    [
        ("Analytics.duckdb", "analytics"),
        ("ANALYTICS.DB", "Analytics"),
        ("ad_data.duckdb", "ad-data"),
        ("AD_DATA", "adData"),
        ("analytics_staging.duckdb", "analytics"),
        ("ad_data_Staging.duckdb", "ad-data"),
        ("ads.2024.duckdb", "ads"),
        ("ads?old.duckdb", "ads"),
        ("main.duckdb", "main_db"),
        ("Temp.duckdb", "temp_db"),
    ],
)
def test_ambiguous_names(home, monkeypatch, file: str, dataset: str):
    with pytest.raises(SettingsError, match="DuckDB cannot tell a file"):
        make_destination(choose(file, dataset, monkeypatch))


@pytest.mark.parametrize(
    ("file", "dataset"),
    [
        ("main.duckdb", "main"),
        ("temp.duckdb", "analytics"),
        ("ads.duckdb", "ads_2024"),
        ("ad-data.duckdb", "ad-data"),
        ("analytics_staging_2.duckdb", "analytics"),
    ],
)
def test_names_that_can_be_told_apart(home, monkeypatch, file: str, dataset: str):
    monkeypatch.setenv(CREDENTIALS, str(home / file))
    monkeypatch.setenv("ANALYTICS__DATASET_NAME", dataset)
    for _ in range(2):
        load(home, {"a": [{"id": 1}]})
    assert (home / file).is_file()


@pytest.mark.parametrize("dataset", ["temp", "System", "information_schema", "pg-catalog"])
def test_names_of_duckdbs_own(home, monkeypatch, dataset: str):
    with pytest.raises(SettingsError, match="of its own: set ANALYTICS__DATASET_NAME to one"):
        make_destination(PlatformSettings(dataset_name=dataset))


STEMS = st.text("aBé9_-.? '\"#%", min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(stem=STEMS.filter(lambda text: text[0] not in ".?"))
@example("main")
@example("Temp")
@example("SYSTEM")
@example("memory")
def test_catalog_names_are_duckdbs(tmp_path_factory: pytest.TempPathFactory, stem: str):
    file = tmp_path_factory.mktemp("catalog") / f"{stem}.duckdb"
    with duckdb.connect(str(file)) as connection:
        assert connection.sql("SELECT current_database()").fetchall() == [(catalog_name(file),)]


def test_the_default_lies_in_dagsters_home(home):
    assert duckdb_file(platform_settings()) == default_duckdb() == home / "warehouse.duckdb"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({CREDENTIALS: "{}/a.duckdb"}, "a.duckdb"),
        ({CREDENTIALS: "~/a.duckdb"}, "a.duckdb"),
        ({CREDENTIALS: "duckdb:///{}/a%20b.duckdb?threads=1"}, "a b.duckdb"),
        ({DATABASE: "{}/a.duckdb"}, "a.duckdb"),
        ({CREDENTIALS: "{}/a.duckdb", DATABASE: "{}/b.duckdb"}, "a.duckdb"),
        ({"ANALYTICS__DESTINATION": "dlt.destinations.duckdb"}, "warehouse.duckdb"),
    ],
)
def test_the_file_of_these_variables(
    home, monkeypatch, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setenv("HOME", str(home))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home))
    found = platform_settings()
    assert duckdb_file(found) == home / expected
    assert is_duckdb(found)
    assert is_missing(found)
    (home / expected).touch()
    assert not is_missing(found)


def test_a_server_has_no_file_that_could_be_missing(home) -> None:
    server = PlatformSettings(destination="postgres")
    assert (duckdb_file(server), is_duckdb(server), is_missing(server)) == (None, False, False)


def test_what_is_said_of_names_that_will_not_do(home, monkeypatch) -> None:
    def refusal(file: str, dataset: str) -> str:
        with pytest.raises(SettingsError) as error:
            refuse_ambiguous_names(Path(file), PlatformSettings(dataset_name=dataset))
        return str(error.value)

    assert refusal("/srv/a.duckdb", "pg-catalog") == (
        "DuckDB has a pg_catalog of its own: set ANALYTICS__DATASET_NAME to one such as analytics"
    )
    assert refusal("/srv/Ad_Data.duckdb", "ad-data") == (
        "DuckDB cannot tell a file Ad_Data.duckdb from a dataset ad-data: set"
        " ANALYTICS__DATASET_NAME or DESTINATION__DUCKDB__CREDENTIALS to another name"
    )
    monkeypatch.setenv(CREDENTIALS, ":memory:")
    with pytest.raises(SettingsError) as error:
        duckdb_file(PlatformSettings())
    assert str(error.value) == (
        "DESTINATION__DUCKDB__CREDENTIALS is no place of a DuckDB file: set it to a path such as"
        " /srv/analytics/warehouse.duckdb"
    )


def test_a_dataset_is_kept_under_the_name_that_dlt_gives_it() -> None:
    assert [stored_name(name) for name in ("ads", "Ad-Data", "adData")] == [
        "ads",
        "ad_data",
        "ad_data",
    ]
