"""Marks that several folders use."""

from __future__ import annotations

import pytest

# Runs a test once with each warehouse; without it, a test runs with DuckDB.
both_warehouses = pytest.mark.parametrize("warehouse", ["duckdb", "postgres"], indirect=True)
