"""Marks that several folders use, and how long models are followed."""

from __future__ import annotations

import os

import pytest

# Whether models are followed for long, as `make model` does.
IS_LONG = "LONG_MODELS" in os.environ

# Runs a test once with each warehouse; without it, a test runs with DuckDB.
both_warehouses = pytest.mark.parametrize("warehouse", ["duckdb", "postgres"], indirect=True)
