"""Writes what the settings declare into `docs/settings.md` and `.env.example`.

In both files, the lines between `made by make settings: SECTION` and `end of SECTION` are made by
it; all others are written by hand.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from analytics_assets.settings import SETTINGS, Setting
from analytics_assets.validation import allowed_in_words, example_of

_CHECKOUT: Final = Path(__file__).resolve().parent.parent
_PART: Final = re.compile(
    r"^(?P<begin>.*made by make settings: (?P<section>[\w.]+).*\n)(?:.*\n)*?"
    r"(?P<end>.*end of (?P=section)\b.*\n)",
    re.MULTILINE,
)


def markdown(settings: list[Setting]) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield "| key | default | what it is | what it may be |"
    yield "|---|---|---|---|"
    for setting in settings:
        default = "**needed**" if setting.required else _code(_in_words(setting.default))
        text = f"{setting.text}; a secret" if setting.is_secret else setting.text
        yield f"| `{setting.key}` | {default} | {text} | {allowed_in_words(setting.hint)} |"


def environment(settings: list[Setting]) -> Iterator[str]:
    """The lines of an `.env` file: what is needed to be filled in, the rest as it is by default."""
    for setting in sorted(settings, key=lambda setting: not setting.required):
        if setting.required:
            yield f"{setting.name}={example_of(setting.hint)}"
        else:
            default = _in_words(setting.default)
            yield f"#{setting.name}={shlex.quote(default) if default else ''}"


FILES: Final[dict[Path, Callable[[list[Setting]], Iterator[str]]]] = {
    _CHECKOUT / "docs" / "settings.md": markdown,
    _CHECKOUT / ".env.example": environment,
}


def filled(text: str, lines_of: Callable[[list[Setting]], Iterator[str]]) -> str:
    """The text of a file, with each part as the settings are declared now."""

    def part(found: re.Match[str]) -> str:
        section = tuple(found["section"].split("."))
        lines = lines_of([setting for setting in SETTINGS if setting.section == section])
        return "".join([found["begin"], *(f"{line}\n" for line in lines), found["end"]])

    return _PART.sub(part, text)


def main() -> None:
    """Brings both files up to date."""
    for file, lines_of in FILES.items():
        file.write_text(filled(file.read_text(), lines_of))


def _in_words(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.15g}" if isinstance(default, float) else str(default)


def _code(text: str) -> str:
    return f"`{text}`" if text else "none"


if __name__ == "__main__":
    main()
