"""The API as dlt sees it: resources, source and client. Imports no Dagster."""
