"""How calls are found: by a webhook, by a sweep, and by what a provider pushes."""
