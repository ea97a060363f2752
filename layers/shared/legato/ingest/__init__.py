"""How a call comes into the bucket: claimed, fetched, joined, sealed, brought to rest."""
