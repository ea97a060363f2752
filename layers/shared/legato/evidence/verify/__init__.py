"""Proves that nothing of an archive is missing or altered. It needs nothing but the archive."""
