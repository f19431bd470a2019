"""Many recordings on one machine: one table of all results, which a stopped run continues."""
