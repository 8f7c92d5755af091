"""`python -m analytics_assets.cli`."""

from analytics_assets.cli import main

main(prog_name="analytics-assets")
