"""The wheel, installed where there is no checkout: from an empty folder to loaded tables."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from uv import find_uv_bin

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.homes import foreign_environment, sample_settings
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python with the wheel and what it depends on, and nothing of the checkout."""
    # the source distribution, and of that the wheel
    build = ("build", "-q", "--offline", "--no-build-isolation", "--python", sys.executable)
    subprocess.run([find_uv_bin(), *build, "-o", str(tmp_path), str(CHECKOUT)], check=True)
    assert len([*tmp_path.glob("*.tar.gz")]) == 1
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = ("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    subprocess.run([*PIP, *install], check=True)
    # the dependencies of this environment; Python does not read the .pth files of such a folder,
    # by one of which the checkout would be found
    [packages] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def test_from_an_empty_folder_to_loaded_tables(python: Path, tmp_path: Path, api: SampleApi):
    home = tmp_path / "empty"
    home.mkdir()
    environment = foreign_environment() | sample_settings(home, api)
    for name in ("DAGSTER_HOME", "PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)

    def run(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [str(python), *arguments],
            cwd=home,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command = str(python.parent / "analytics-assets")
    where = run("-c", "import analytics_assets; print(analytics_assets.__file__)")
    assert where.startswith(str(tmp_path / "venv"))
    assert "wrote  dagster.yaml" in run(command, "init")
    assert "all is well" in run(command, "doctor")
    run(command, "sync")
    assert_warehouse_equals_api(home, api.data)
    materialize = ("-m", "dagster", "asset", "materialize", "-m", "analytics_assets.definitions")
    run(*materialize, "--select", "accounts", DAGSTER_HOME=str(home))
    assert (home / "history" / "runs.db").is_file()
