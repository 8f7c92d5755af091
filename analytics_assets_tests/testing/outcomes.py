"""What a command says of accounts that failed."""

from __future__ import annotations

import re

from click.testing import Result

from analytics_assets.sample_api import SampleData


def failures(result: Result, data: SampleData) -> dict[str, str]:
    """The causes that the command names, each on one line, by account."""
    assert result.exit_code == 1, result.output
    told = re.search(r"(\d+) of (\d+) accounts failed, and nothing of them was", result.output)
    assert told, result.output
    lines = result.output[told.end() :].strip().splitlines()[1:]
    causes = dict(line.split(": ", 1) for line in lines)
    assert (int(told[1]), int(told[2])) == (len(causes), len(data.account_ids)), result.output
    return causes
