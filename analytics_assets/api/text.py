"""Texts of the API, fit for a line of a message: on a terminal they do nothing but show."""

from __future__ import annotations

import re
from typing import Final

from analytics_assets.api.arrow import sound_text

# what moves a terminal's cursor, colours it or turns the text around, and is not seen
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """The text without control characters, each stretch of white space as one space."""
    return _CONTROL.sub("", " ".join(sound_text(text).split()))
