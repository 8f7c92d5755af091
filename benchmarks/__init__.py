"""Measures the platform against its floor, its peers, growth and quotas."""
