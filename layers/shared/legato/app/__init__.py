"""The composition root: what the functions and the command work with, made of the adapters."""
