"""The warehouse: destination, pipeline and exact replacement. Imports no Dagster."""
