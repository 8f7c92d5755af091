"""What people read about the settings is what the settings declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets.settings import PLATFORM_SECTION, SETTINGS, Setting
from tools.settings_docs import FILES, environment, filled, markdown


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_files_are_up_to_date(file: Path):
    text = file.read_text()
    assert filled(text, FILES[file]) == text, "run `make settings`"
    for section in {setting.section for setting in SETTINGS}:
        assert f"made by make settings: {'.'.join(section)}" in text


def test_what_stood_there_makes_way():
    text = "a\n# made by make settings: extract\nold\nolder\n# end of extract\nb\n"
    lines = list(environment([setting for setting in SETTINGS if setting.section == ("extract",)]))
    assert filled(text, environment).splitlines() == [
        "a",
        "# made by make settings: extract",
        *lines,
        "# end of extract",
        "b",
    ]
    assert filled(filled(text, environment), environment) == filled(text, environment)


def test_a_setting_in_words():
    needed = Setting(PLATFORM_SECTION, "token", "a token", str, None, required=True)
    cron = next(setting for setting in SETTINGS if setting.key == "sync_cron")
    assert list(markdown([needed, cron]))[2:] == [
        "| `token` | **needed** | a token | a text |",
        f"| `sync_cron` | `0 5 * * *` | {cron.text} | a cron expression |",
    ]
    assert list(environment([cron, needed])) == [
        "ANALYTICS__TOKEN=",
        "#ANALYTICS__SYNC_CRON='0 5 * * *'",
    ]
