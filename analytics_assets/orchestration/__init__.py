"""Assets, partitions, checks, jobs and what starts them. Speaks no HTTP."""
