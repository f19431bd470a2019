"""From recordings on disk to CSV manifests: one file per data set, and what they share."""
