"""Texts that are fit to be stored, or to be shown in a line of a message and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_NAMED: Final = 3
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# what moves a terminal's cursor, colours it or turns the text around, and is not seen
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def sound_text(text: str) -> str:
    """The text with U+FFFD for a lone surrogate, which JSON can hold but no Unicode text can."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """The text without control characters, each stretch of white space as one space."""
    return _one_spaced(_CONTROL.sub("", _one_spaced(sound_text(text))))


def is_sound(text: str) -> bool:
    """Whether a text is without lone surrogates, so that it can be stored and sent as it is."""
    return sound_text(text) == text


def counted(number: int, noun: str) -> str:
    """How many of something, for people: `1 account` or `1,200 accounts`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def first_of(names: Sequence[str]) -> str:
    """The first three names, each on one line, and `...` where there are more."""
    more = ["..."] if len(names) > _NAMED else []
    return ", ".join([*map(one_line, names[:_NAMED]), *more])


def _one_spaced(text: str) -> str:
    return " ".join(text.split())
