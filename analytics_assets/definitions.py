"""The platform's own code location: what Dagster loads where nobody embeds it."""

from __future__ import annotations

import dagster as dg

from analytics_assets.factory import build_definitions

# one step at a time is all that there is: no process of its own for it
defs = dg.Definitions.merge(build_definitions(), dg.Definitions(executor=dg.in_process_executor))
