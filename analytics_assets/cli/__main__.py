"""`python -m analytics_assets.cli`."""

from analytics_assets.cli import run

run()
