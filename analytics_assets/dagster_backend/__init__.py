"""What stands in for parts of Dagster itself: event storages, a launcher, orphans."""
