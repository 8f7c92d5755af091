"""What stands in for parts of Dagster itself: event storages, batches, launchers, orphans."""
