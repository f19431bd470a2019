"""From recordings on disk to CSV manifests: one folder or file per data set, and what they share.

Nothing here decodes audio beyond its length, and nothing here knows about models.
"""
