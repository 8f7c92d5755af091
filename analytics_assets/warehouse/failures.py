"""What went wrong in the warehouse, in one line that says what to do."""

from __future__ import annotations

import re
from typing import Final

from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.exceptions import MissingDependencyException

from analytics_assets.errors import causes
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.location import is_duckdb

_INSUFFICIENT_PRIVILEGE: Final = "42501"
# the name that Python's database drivers have for it
_NO_CONNECTION: Final = "OperationalError"
# of a password with an @, the driver takes the rest for the host's name
_PASSWORD_IN_HOST: Final = re.compile(r'host name "[^"]*@')
_FORM: Final = (
    "expected a form such as postgresql://user:password@host:5432/database, with special characters"
    " of the password percent-encoded (@ is %40)"
)


def explain(error: Exception, settings: PlatformSettings) -> str:
    """The message of an error that came of using the warehouse; never with a password."""
    name = settings.destination.rpartition(".")[2]
    section = f"DESTINATION__{name.upper()}"
    credentials = f"{section}__CREDENTIALS"
    chain = list(causes(error))
    for link in chain:
        if isinstance(link, ConfigFieldMissingException):
            missing = " and ".join(f"{section}__{field.upper()}" for field in link.fields)
            return (
                f"missing setting, or a part of it: set {missing} in the environment or in"
                " .dlt/secrets.toml"
            )
        if isinstance(link, ConfigurationException):
            # dlt's message quotes what it was given, with the password
            return f"{credentials} cannot be used ({type(link).__name__}): {_FORM}"
        if isinstance(link, MissingDependencyException):
            return (
                f"the destination {name} needs packages that are not installed:"
                f" pip install {' '.join(link.dependencies)}"
            )
    cause = first_cause(error)
    if is_duckdb(settings):
        return f"the warehouse could not be written: {cause}"
    if type(chain[-1]).__name__ == _NO_CONNECTION:
        if _PASSWORD_IN_HOST.search(cause):
            return f"{credentials} cannot be used: {_FORM}"
        return f"no connection to the warehouse ({cause}): check {credentials}"
    if getattr(chain[-1], "pgcode", None) == _INSUFFICIENT_PRIVILEGE:
        return (
            f"the warehouse refuses ({cause}): the role in {credentials} must own the schema"
            f" {settings.dataset_name} and be allowed to create others (GRANT CREATE ON DATABASE)"
        )
    return f"the warehouse could not be written: {cause}"


def first_cause(error: Exception) -> str:
    """The message that all others followed, on one line."""
    *_, first = causes(error)
    return " ".join(str(first).split()) or type(first).__name__
