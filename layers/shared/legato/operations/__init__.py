"""What keeps the archive healthy: status, reconciliation, backfill, failures, removal."""
