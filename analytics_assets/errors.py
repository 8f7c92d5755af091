"""Errors whose message is one line that says what happened and what to do."""

from __future__ import annotations


class AnalyticsError(Exception):
    """Base of the errors that users are meant to read. Never holds a secret."""


class SettingsError(AnalyticsError):
    """A setting is missing or cannot be used."""


class CredentialsError(AnalyticsError):
    """The API gives no access token: nothing can be read for any account."""


class ReadError(AnalyticsError):
    """A resource could not be read whole."""


class WarehouseError(AnalyticsError):
    """The warehouse could not be opened, read or written."""
