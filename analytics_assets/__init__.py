"""Ingests an advertising analytics API into a warehouse, as Dagster assets produced through dlt."""
