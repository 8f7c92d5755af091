"""The platform: assets, partitions, jobs and what drives them. Speaks no HTTP."""
