"""Pipelines: where they work, and what of all that dlt says is kept from people."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from dlt.common.warnings import DltDeprecationWarning
from dlt.load import load as load_module

from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.pipeline import make_pipeline

NEWS = "the schema was changed"
NO_NEWS = [
    "in table a, several column hints were different: b",
    "Due to normalization dataset name got changed from A to a",
    "the table a was not found in the destination",
    "Failed to create trace dump via pickle",
]


def test_a_pipeline_works_in_its_folder_and_loads_where_the_settings_say(home: Path):
    made = make_pipeline(PlatformSettings(dataset_name="ads"), home / "run")
    assert (made.pipeline_name, made.dataset_name) == ("analytics_assets", "ads")
    assert Path(made.working_dir).is_relative_to(home / "run" / "pipelines")
    assert made.destination.destination_type == "dlt.destinations.duckdb"


@pytest.fixture
def dlt_logger(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """dlt's logger, as the first pipelines leave it, at the level that it has by default."""
    logger = logging.getLogger("dlt")
    level = logger.level
    monkeypatch.setattr(logger, "filters", [])
    for _ in range(2):
        make_pipeline(platform_settings(), home)
    logger.setLevel(logging.WARNING)
    yield logger
    logger.setLevel(level)


def is_shown(logger: logging.Logger, message: str, file: str = "/dlt/other.py") -> bool:
    record = logging.makeLogRecord(
        {"msg": message, "pathname": file, "levelno": logging.WARNING, "name": "dlt"}
    )
    return bool(logger.filter(record))


def test_what_is_no_news_is_not_shown(dlt_logger: logging.Logger):
    assert not any(is_shown(dlt_logger, message) for message in NO_NEWS)
    assert is_shown(dlt_logger, NEWS)
    # our own error says it in one line
    assert not is_shown(dlt_logger, NEWS, str(load_module.__file__))
    assert [type(known).__name__ for known in dlt_logger.filters].count("_KnownWarnings") == 1


def test_who_asks_for_more_is_shown_everything(dlt_logger: logging.Logger):
    dlt_logger.setLevel(logging.INFO)
    assert all(is_shown(dlt_logger, message) for message in [*NO_NEWS, NEWS])
    assert is_shown(dlt_logger, NEWS, str(load_module.__file__))


def test_what_another_library_does_with_dlt_is_not_warned_of(home: Path):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        make_pipeline(platform_settings(), home)
        dropped = "drop_pending_packages is deprecated"
        warnings.warn(DltDeprecationWarning(dropped, since="1.0.0"), stacklevel=1)
        warnings.warn(UserWarning(dropped), stacklevel=1)
        warnings.warn(DltDeprecationWarning("other", since="1.0.0"), stacklevel=1)
    assert [warning.category for warning in seen] == [UserWarning, DltDeprecationWarning]
