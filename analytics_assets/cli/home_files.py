"""The files of a Dagster home as they are delivered: in the wheel, or at the checkout's root."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

# where pyproject.toml puts them in the wheel
_IN_THE_WHEEL: Final = "home"
# a checkout's file names more than a home has
_OF_A_HOME: Final = re.compile(r"^# A Dagster home.*?^# \(end of a Dagster home\)$\n?", re.M | re.S)


def delivered(name: str) -> str:
    """The text of a delivered file: `dagster.yaml`, `.dlt/config.toml`."""
    package = files("analytics_assets")
    in_the_wheel = package.joinpath(_IN_THE_WHEEL)
    root = in_the_wheel if in_the_wheel.is_dir() else package.joinpath("..")
    text = root.joinpath(*name.split("/")).read_text(encoding="utf-8")
    part = _OF_A_HOME.search(text) if name == ".gitignore" else None
    return part[0] if part else text
