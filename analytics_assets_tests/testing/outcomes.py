"""What a command says of partitions that failed."""

from __future__ import annotations

import re

from click.testing import Result

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleData


def failures(result: Result, data: SampleData) -> dict[str, str]:
    """The causes that the command names, by account, each on a line."""
    assert result.exit_code == 1, result.output
    told = re.search(
        r"(\d+) of (\d+) partitions failed, in (\d+) of \d+ accounts, and keep", result.output
    )
    assert told, result.output
    causes: dict[str, str] = {}
    for line in result.output[told.end() :].strip().splitlines()[1:]:
        account, _, cause = line.partition(": ")
        if cause and account in data.account_ids:
            causes[account] = f"{causes[account]}\n{cause}" if account in causes else cause
    partitions = len(data.account_ids) * len(RESOURCES.account_lists)
    assert (int(told[2]), int(told[3])) == (partitions, len(causes)), result.output
    assert len(causes) <= int(told[1]) <= partitions
    return causes
