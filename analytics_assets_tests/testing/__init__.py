"""Servers and helpers for tests, benchmarks and tools."""
