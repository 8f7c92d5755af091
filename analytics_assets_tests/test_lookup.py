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
from typing import Any

import dlt
import pyarrow as pa
import pytest
from dlt.common.configuration import inject_section
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration, RuntimeConfiguration
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext, RunContextBase
from dlt.common.runtime.init import restore_run_context
from dlt.common.runtime.run_context import active
from dlt.extract.pipe_iterator import PipeIterator
from dlt.load.configuration import LoaderConfiguration

from analytics_assets.lookup import PIPELINE_NAME, configure_dlt
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


def resolved(spec: BaseConfiguration, pipeline_name: str | None = PIPELINE_NAME) -> Any:
    """What dlt finds for a pipeline."""
    section = ConfigSectionContext(pipeline_name=pipeline_name, sections=("load",))
    with inject_section(section):
        return resolve_configuration(spec, accept_partial=True)


def workers_in_a_process(context: RunContextBase) -> tuple[object, object]:
    """What a process finds that dlt starts, and which it gives its context."""
    restore_run_context(context)
    found = resolved(PipeIterator.PipeIteratorConfiguration())
    return found.workers, found.max_parallel_items


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
    assert resolved(LoaderConfiguration()).truncate_staging_dataset is False
    found = resolved(PipeIterator.PipeIteratorConfiguration())
    assert (found.workers, found.max_parallel_items) == (5, 64)
    monkeypatch.setenv("EXTRACT__WORKERS", "7")
    assert api_settings().workers == 7


def test_our_defaults_are_for_our_pipeline_alone(unconfigured):
    before = resolved(PipeIterator.PipeIteratorConfiguration(), None)
    configure_dlt()
    for name in (None, "theirs"):
        theirs = resolved(PipeIterator.PipeIteratorConfiguration(), name)
        assert (theirs.workers, theirs.max_parallel_items) == (
            before.workers,
            before.max_parallel_items,
        )
        assert resolved(LoaderConfiguration(), name).truncate_staging_dataset is False
    assert resolved(PipeIterator.PipeIteratorConfiguration()).workers == 64
    assert resolved(LoaderConfiguration()).truncate_staging_dataset is True


def test_a_pipeline_of_others_gets_no_column_of_ours(unconfigured):
    configure_dlt()
    pipeline = dlt.pipeline(
        "theirs",
        destination=dlt.destinations.duckdb(str(unconfigured / "theirs.duckdb")),
        pipelines_dir=str(unconfigured / "pipelines"),
    )
    pipeline.run(pa.table({"id": [1]}), table_name="rows")
    pipeline.deactivate()
    assert set(pipeline.default_schema.get_table_columns("rows")) == {"id"}


def test_nothing_is_sent_to_dlts_makers(unconfigured):
    configure_dlt()
    assert resolve_configuration(RuntimeConfiguration()).dlthub_telemetry is False
    assert active().runtime_config.dlthub_telemetry is False


def test_an_empty_variable_is_none_for_dlt_either(unconfigured, monkeypatch):
    monkeypatch.setenv("LOAD__TRUNCATE_STAGING_DATASET", "")
    configure_dlt()
    assert resolved(LoaderConfiguration()).truncate_staging_dataset is True
