"""The API as dlt sees it: client, pace, sources, and what reads them. Imports no Dagster."""
