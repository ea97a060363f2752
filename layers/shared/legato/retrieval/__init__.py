"""How a person gets a call out of the archive."""
