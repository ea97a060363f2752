"""How tests wait for what happens in the running system."""

import time

PATIENCE_SECONDS = 120
"""On the slowest machine: nobody waits so long for what does happen."""


def until(condition, *, seconds=PATIENCE_SECONDS):
    """Wait until a condition holds; return what it said."""
    end_at = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end_at, "it did not happen in time"
        time.sleep(0.25)
    return answer
