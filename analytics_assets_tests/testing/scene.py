"""What the tests of the web UI look at."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.deployment import Deployment


@dataclass(frozen=True)
class Scene:
    """What the UI shows, and an account for each role that a test needs."""

    deployment: Deployment
    untouched: str
    changing: str
    failing: str
    recovering: str
    drifting: str

    @property
    def api(self) -> SampleApi:
        return self.deployment.api

    @property
    def failed(self) -> set[str]:
        """The accounts that cannot be read now."""
        return {fault.path.split("/")[2] for fault in self.api.behaviour.faults}

    def heal(self, account_id: str) -> None:
        faults = self.api.behaviour.faults
        faults[:] = [fault for fault in faults if f"/{account_id}/" not in fault.path]
