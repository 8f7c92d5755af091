"""dlt finds its settings where ours stand: once asked to, and not by an import."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext, RunContextBase
from dlt.common.runtime.init import restore_run_context
from dlt.common.runtime.run_context import active

from analytics_assets.lookup import DLT_DEFAULTS, configure_dlt
from analytics_assets.settings import api_settings, platform_settings

# `definitions` is left out: to import it is to load the code location
IMPORTED_ALONE = """
import os
before = dict(os.environ)
from importlib import import_module
from pkgutil import walk_packages
import analytics_assets
for module in walk_packages(analytics_assets.__path__, "analytics_assets."):
    if not module.name.endswith(("__main__", "celery_worker", "definitions")):
        import_module(module.name)
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
assert PluggableRunContext not in Container(), "dlt was configured"
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
"""


def workers_in_a_process(context: RunContextBase) -> tuple[object, object]:
    """What a process finds that dlt starts, and which it gives its context."""
    restore_run_context(context)
    return dlt.config["extract.workers"], dlt.config["extract.max_parallel_items"]


@pytest.fixture
def unconfigured(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> Iterator[Path]:
    """A working directory without settings, in which nobody has configured dlt."""
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.delenv("EXTRACT__WORKERS")
    before = Container()[PluggableRunContext]
    Container()[PluggableRunContext] = PluggableRunContext()  # dlt's own
    yield working
    Container()[PluggableRunContext] = before


def write_settings(folder: Path, text: str) -> None:
    (folder / ".dlt").mkdir()
    (folder / ".dlt" / "config.toml").write_text(text)


def test_to_import_us_changes_nothing(commands):
    subprocess.run(
        [sys.executable, "-c", IMPORTED_ALONE], cwd=commands.folder, check=True, timeout=120
    )


def test_the_home_has_them_where_the_working_directory_has_none(unconfigured, home):
    write_settings(home, '[analytics]\ndataset_name = "of_home"\n')
    before = dict(os.environ)
    assert platform_settings().dataset_name == "of_home"
    assert Path(active().local_dir).absolute() == unconfigured
    assert dict(os.environ) == before
    write_settings(unconfigured, '[analytics]\ndataset_name = "of_here"\n')
    assert platform_settings().dataset_name == "of_here"


def test_another_home_is_followed(unconfigured, home, monkeypatch, tmp_path):
    write_settings(home, '[analytics]\ndataset_name = "one"\n')
    assert platform_settings().dataset_name == "one"
    write_settings(tmp_path, '[analytics]\ndataset_name = "another"\n')
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert platform_settings().dataset_name == "another"


def test_dlts_own_variable_goes_before(unconfigured, home, monkeypatch, tmp_path):
    write_settings(home, '[analytics]\ndataset_name = "of_home"\n')
    write_settings(tmp_path, '[analytics]\ndataset_name = "of_project"\n')
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    assert platform_settings().dataset_name == "of_project"


def test_a_working_directory_that_is_gone(unconfigured, home):
    write_settings(home, '[analytics]\ndataset_name = "of_home"\n')
    unconfigured.rmdir()
    assert platform_settings().dataset_name == "of_home"


def test_it_is_done_once(unconfigured):
    configure_dlt()
    providers = dlt.config.config_providers
    api_settings(), platform_settings()
    assert dlt.config.config_providers == providers


def test_dlt_finds_it_in_threads_and_in_its_own_processes(unconfigured, home):
    write_settings(home, "[extract]\nworkers = 3\n")
    assert api_settings().workers == 3
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(dlt.config["extract.workers"]))
    thread.start()
    thread.join()
    assert found == [3]
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        assert processes.submit(workers_in_a_process, active()).result() == (3, 64)


def test_our_defaults_are_below_all_else(unconfigured, monkeypatch):
    theirs = {"extract": {"workers": 5}, "load": {"truncate_staging_dataset": False}}
    dlt.config.register_provider(CustomLoaderDocProvider("theirs", lambda: theirs))
    assert api_settings().workers == 5
    assert dlt.config["load.truncate_staging_dataset"] is False
    assert dlt.config["extract.max_parallel_items"] == DLT_DEFAULTS["extract"]["max_parallel_items"]
    monkeypatch.setenv("EXTRACT__WORKERS", "7")
    assert api_settings().workers == 7


def test_nothing_is_sent_to_dlts_makers(unconfigured):
    configure_dlt()
    assert resolve_configuration(RuntimeConfiguration()).dlthub_telemetry is False
    assert active().runtime_config.dlthub_telemetry is False


def test_an_empty_variable_is_none_for_dlt_either(unconfigured, monkeypatch):
    monkeypatch.setenv("LOAD__TRUNCATE_STAGING_DATASET", "")
    configure_dlt()
    assert dlt.config["load.truncate_staging_dataset"] is True
