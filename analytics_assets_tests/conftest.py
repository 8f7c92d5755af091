"""The sample API, a Dagster home of its own for each test, and the commands that people use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
import pytest
import tomlkit
from alembic.script import ScriptDirectory
from click.testing import Result
from dagster import DagsterInstance
from dlt.common import validation
from dlt.common.configuration import resolve
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from filelock import FileLock

from analytics_assets.api import client
from analytics_assets.lookup import configure_dlt
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT, Commands, invoke
from analytics_assets_tests.testing.data import digest
from analytics_assets_tests.testing.doctor import Checks, check_all
from analytics_assets_tests.testing.homes import platform_environment, sample_settings, use_settings
from analytics_assets_tests.testing.postgres_server import PASSWORD, PostgresServer, running


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Marks what syncs, and what starts servers or processes, by its fixtures."""
    for item in items:
        chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if "postgres" in chosen or {"postgres", "records_database"} & {*item.fixturenames}:
            item.add_marker("postgres")
        if "commands" in item.fixturenames:
            item.add_marker("process")
        if "sync" in item.fixturenames:
            item.add_marker("sync")


# What is in memory on Linux, and how many bytes of it must be free for the tests' files.
_MEMORY, _ROOM = Path("/dev/shm"), 8 << 30


def pytest_configure() -> None:
    """Lets what the tests start be interrupted, also where the tests themselves ignore it.

    Their files lie in memory where there is room for them, unless TMPDIR says where: a seventh of
    what a sync in this process takes. No example fails for the time that it takes.
    """
    if "TMPDIR" not in os.environ and _has_room(_MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
    if find_spec("hypothesis"):  # not in the lane of dbt
        from hypothesis import settings

        settings.register_profile("suite", deadline=None)
        settings.load_profile("suite")
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _has_room(folder: Path) -> bool:
    """Whether there is such a folder, with room, from which the tests may start programs."""
    if not folder.is_dir():
        return False
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize >= _ROOM and not state.f_flag & os.ST_NOEXEC


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """One more worker than there are cores: tests wait, for servers, daemons and retries."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each test to the next free worker, but those of the web UI to one: they share a scene.

    `--dist loadgroup` would do so by marks, but does not with pytest 9.2 (pytest-xdist#1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    ui = "analytics_assets_tests/ui/"
    scheduler._split_scope = lambda nodeid: ui if nodeid.startswith(ui) else nodeid
    return scheduler


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Reads once what is the same for all tests: a tenth of what a sync in this process takes.

    These are Dagster's list of migrations, for each database that is opened, and the types that dlt
    declares, for each schema and each setting.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", cache(ScriptDirectory.from_config))
        hints = cache(validation.get_type_hints)  # type: ignore[attr-defined]
        patch.setattr(validation, "get_type_hints", lambda spec, globalns: hints(spec))
        for name in ("extract_inner_hint", "is_secret_hint"):
            patch.setattr(resolve, name, cache(getattr(resolve, name)))
        yield


@pytest.fixture(autouse=True)
def _clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the next test, whose API may have the same port, no pace, token or connection."""
    monkeypatch.setattr(client, "_clients", {})


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[SampleApi]:
    """A small API, without limits and faults until a test sets some; its data by parameter."""
    with SampleApi(getattr(request, "param", None)) as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of this process."""
    # not in pytest's own folder: the server runs as another user if the tests run as root
    with TemporaryDirectory(prefix="postgres-") as folder, running(Path(folder)) as server:
        yield server


@pytest.fixture
def warehouse(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of an empty warehouse; which one, by parameter."""
    if getattr(request, "param", "duckdb") == "duckdb":
        yield {}
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as database:
        yield {
            "ANALYTICS__DESTINATION": "postgres",
            "DESTINATION__POSTGRES__CREDENTIALS": server.url(database),
        }


@pytest.fixture(scope="session")
def unused_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DAGSTER_HOME whose records are set up, which takes a second, and empty."""
    home = tmp_path_factory.mktemp("dagster") / "unused"
    home.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(home))
        with DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
    return home


@pytest.fixture
def home(
    tmp_path: Path,
    api: SampleApi,
    warehouse: dict[str, str],
    unused_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A DAGSTER_HOME of the test's own, with the settings that lead to the sample API."""
    home = tmp_path / "home"
    shutil.copytree(unused_home, home)
    use_settings(monkeypatch, {**sample_settings(home, api), **warehouse})
    return home


@pytest.fixture
def new_home(home: Path) -> Path:
    """The test's DAGSTER_HOME as people make one: with dagster.yaml, and nothing else."""
    shutil.rmtree(home)
    home.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    return home


@pytest.fixture
def records_database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database for Dagster's records, named by the variables that the files in deploy/ read."""
    with postgres.database() as database:
        settings = {
            "HOST": "127.0.0.1",
            "PORT": str(postgres.port),
            "DB": database,
            "USER": "postgres",
            "PASSWORD": PASSWORD,
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)
        yield


@pytest.fixture
def toml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds what a file of settings may hold, to the settings of this process."""

    def add(text: str, *, secrets: bool = True) -> None:
        configure_dlt()
        contents = tomlkit.parse(text).unwrap()
        provider = CustomLoaderDocProvider(f"{secrets=}", lambda: contents, secrets)
        environment, *others = dlt.config.config_providers
        context = Container()[PluggableRunContext]
        monkeypatch.setattr(context.providers, "providers", [environment, provider, *others])

    return add


@pytest.fixture
def commands(home: Path, tmp_path: Path) -> Commands:
    """The commands, run from a folder that is neither the checkout nor the Dagster home."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Commands(folder)


@pytest.fixture
def sync(home: Path) -> Callable[..., Result]:
    """`analytics-assets sync` in this process."""
    return partial(invoke, "sync")


@pytest.fixture(scope="session")
def synced_homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes to be copied, by the warehouse and by what the API served; all workers share them."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "synced"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def synced(
    home: Path,
    api: SampleApi,
    warehouse: dict[str, str],
    sync,
    synced_homes: Path,
    request: pytest.FixtureRequest,
) -> Path:
    """The test's home, after a sync of what the API serves at first; a copy, from the second on.

    It is one for each API and for each set of the platform's settings that a test has made before.
    """
    server: PostgresServer | None = request.getfixturevalue("postgres") if warehouse else None
    database = warehouse.get("DESTINATION__POSTGRES__CREDENTIALS", "duckdb").rpartition("/")[2]
    kind = f"postgres_{server.port}" if server else "duckdb"
    made = synced_homes / f"synced_{kind}_{digest(api.data, platform_environment())[:16]}"
    with FileLock(f"{made}.lock"):
        if is_first := not made.exists():
            result = sync()
            assert result.exit_code == 0, result.output
            shutil.copytree(home, made)
            if server:
                server.copy(database, made.name)
            api.log.clear()
    if not is_first:
        shutil.copytree(made, home, dirs_exist_ok=True)
        if server:
            server.copy(made.name, database)
    return home


@pytest.fixture
def doctor(home: Path) -> Callable[..., Checks]:
    """`analytics-assets doctor` in this process; its checks by name."""
    return check_all


@pytest.fixture
def instance(home: Path, request: pytest.FixtureRequest) -> Iterator[DagsterInstance]:
    """Dagster's records of the test's home."""
    if "synced" in request.fixturenames:  # which changes them
        request.getfixturevalue("synced")
    with DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, or of another size by parameter."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = getattr(request, "param", "256k")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
