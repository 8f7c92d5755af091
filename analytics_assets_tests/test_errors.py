"""Errors made for people: which are for good, and what led to what."""

from __future__ import annotations

import errno

import pytest

from analytics_assets.errors import (
    AnalyticsError,
    DiskFullError,
    ReadError,
    RefusedError,
    causes,
    is_permanent,
    raise_if_disk_full,
    telling_what_is_full,
)


@pytest.mark.parametrize(
    ("name", "is_for_good"),
    [
        ("RefusedError", True),
        ("SuddenlyEmptyError", True),
        ("PermanentError", True),
        ("ReadError", False),
        ("CredentialsError", False),
        ("WarehouseError", False),
        # of a record of another version, or no error at all
        ("", False),
        ("GoneError", False),
        ("Iterator", False),
        ("errno", False),
        ("is_permanent", False),
    ],
)
def test_which_errors_are_for_good(name: str, is_for_good: bool) -> None:
    assert is_permanent(name) == is_for_good


def test_an_error_of_a_resource_says_which() -> None:
    assert ReadError("it broke off", "campaigns").resource_name == "campaigns"
    assert str(ReadError("it broke off", "campaigns")) == "it broke off"
    assert RefusedError("no").resource_name is None


def test_causes_lead_back_to_the_first() -> None:
    first, second, third = KeyError("first"), ValueError("second"), AnalyticsError("third")
    second.__context__ = first  # while it was handled
    third.__cause__ = second  # said to come of it
    third.__context__ = RuntimeError("not this")
    assert list(causes(third)) == [third, second, first]
    assert list(causes(None)) == []


def wrapped(number: int) -> Exception:
    error = RuntimeError("a library's own")
    error.__cause__ = OSError(number, "what the system says")
    return error


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"^no space left in /.*: free some, or set TMPDIR"),
        (errno.EMFILE, r"^too many open files: allow more \(`ulimit -n 1024`\)"),
        (errno.ENFILE, r"^too many open files: "),
    ],
)
def test_what_is_full_is_told_with_what_to_do(number: int, said: str) -> None:
    with pytest.raises(DiskFullError, match=said) as caught:
        raise_if_disk_full(wrapped(number))
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(DiskFullError, match=said), telling_what_is_full():
        raise OSError(number, "what the system says")


def test_any_other_error_stays_as_it_is() -> None:
    raise_if_disk_full(wrapped(errno.EACCES))
    raise_if_disk_full(AnalyticsError("no error of the system"))
    with pytest.raises(PermissionError), telling_what_is_full():
        raise PermissionError(errno.EACCES, "denied")
    with pytest.raises(RuntimeError, match="own"), telling_what_is_full():
        raise wrapped(errno.ENOSPC)  # not the system's own words
