"""The platform as a component of `dg`: a file of YAML instead of a call."""

from __future__ import annotations

import dagster as dg
from pydantic import Field

from analytics_assets.factory import build_definitions
from analytics_assets.settings import PLATFORM_SECTION, SETTINGS

_TEXTS = {setting.key: setting.text for setting in SETTINGS if setting.section == PLATFORM_SECTION}


class AnalyticsPlatform(dg.Component, dg.Model, dg.Resolvable):
    """An advertising analytics API in a warehouse: an asset a table, a partition an account.

    What is not given here, the settings say.
    """

    key_prefix: str | None = Field(default=None, description=_TEXTS["key_prefix"])
    group_name: str | None = Field(default=None, description=_TEXTS["group_name"])
    owners: list[str] | None = Field(default=None, description=_TEXTS["owners"])
    automation: bool | None = Field(default=None, description=_TEXTS["automation"])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The platform's definitions.

        Raises:
            SettingsError: A setting is unusable.
        """
        return build_definitions(
            key_prefix=self.key_prefix,
            group_name=self.group_name,
            owners=self.owners,
            automation=self.automation,
        )
