"""Live checks of what must be right before calls are archived, and while they are."""
