"""Errors whose message is one line that says what happened and what to do."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


class AnalyticsError(Exception):
    """Base of the errors that users are meant to read. Never holds a secret."""


class SettingsError(AnalyticsError):
    """A setting is missing or cannot be used."""


class DeclarationError(AnalyticsError):
    """The resource table declares what cannot be."""


class CredentialsError(AnalyticsError):
    """The API gives no access token: nothing can be read for any account."""


class PermanentError(AnalyticsError):
    """To try again soon is pointless: somebody has to do something about it first."""


class WindowError(PermanentError):
    """The days that are asked for cannot be."""


class ReadError(AnalyticsError):
    """A resource could not be read whole.

    Attributes:
        resource_name: The resource, where it is known.
    """

    def __init__(self, message: str, resource_name: str | None = None) -> None:
        super().__init__(message)
        self.resource_name = resource_name


class RefusedError(ReadError, PermanentError):
    """The API refuses for good: 403 and 404."""


class SuddenlyEmptyError(PermanentError):
    """Nothing was read where rows are held: somebody has to say that this is right."""


class WarehouseError(AnalyticsError):
    """The warehouse could not be opened, read or written."""


class AlertError(AnalyticsError):
    """An alert could not be delivered."""


class DiskFullError(AnalyticsError):
    """There is no room for a run's temporary files, or no more of them can be open."""


def is_permanent(error_name: str) -> bool:
    """Whether the error of this name, as a run's records have it, is a `PermanentError`."""
    error = globals().get(error_name)
    return isinstance(error, type) and issubclass(error, PermanentError)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what led to it, back to the first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def telling_what_is_full() -> Iterator[None]:
    """Turns errors of the operating system that come of a limit into one that says what to do.

    Raises:
        DiskFullError: As `raise_if_disk_full` has it.
    """
    try:
        yield
    except OSError as error:
        raise_if_disk_full(error)
        raise


def raise_if_disk_full(error: BaseException) -> None:
    """Turns an error that comes of what the system has no more of into one that says what to do.

    Raises:
        DiskFullError: The operating system had no room for a file, or could open no more of them.
    """
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            raise DiskFullError(
                f"no space left in {tempfile.gettempdir()}: free some, or set TMPDIR to a folder"
                " with more"
            ) from error
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            raise DiskFullError(
                "too many open files: allow more (`ulimit -n 1024`), or set EXTRACT__WORKERS lower"
            ) from error
