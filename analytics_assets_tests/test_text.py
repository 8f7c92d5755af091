"""Texts of others, fit to be stored and to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.text import counted, one_line, sound_text

CONTROL = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066, 0x200F, 0xD800)


@pytest.mark.parametrize(
    ("text", "sound"),
    [("plain", "plain"), ("é\U0001f511", "é\U0001f511"), ("a\ud83d b\udc00", "a\ufffd b\ufffd")],
)
def test_half_a_character_is_replaced(text: str, sound: str) -> None:
    assert sound_text(text) == sound
    sound.encode()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (" a \r\n\t b\u2028c ", "a b c"),
        ("red \x1b[31malert\x1b[0m", "red [31malert[0m"),
        ("a \x00 b", "a b"),
        ("\u202eback\u200f", "back"),
        ("", ""),
    ],
)
def test_a_text_becomes_a_line(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_that_can_be_printed(text: str) -> None:
    line = one_line(text)
    line.encode()  # half a character could not be
    assert not any(ord(character) in CONTROL for character in line)
    assert one_line(line) == line


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 accounts"), (1, "1 account"), (2, "2 accounts"), (1200, "1,200 accounts")],
)
def test_what_is_counted_is_said_as_people_do(number: int, said: str) -> None:
    assert counted(number, "account") == said
