"""Legato: the archive of call recordings."""

__version__ = "0.1.0"
