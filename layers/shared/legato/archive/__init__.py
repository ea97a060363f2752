"""The format of the bucket: its keys, its manifests, and how it is read."""
