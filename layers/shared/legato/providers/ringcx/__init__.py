"""RingCX: the windows of its interaction metadata, and its recordings."""
