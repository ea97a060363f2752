"""How far two times of one thing may lie apart before somebody must have lied about one of them."""

from __future__ import annotations

from datetime import timedelta

AHEAD = timedelta(minutes=5)
"""No two clocks are the same."""
WRITING = timedelta(minutes=20)
"""What is written has its time from a worker, which lives for a quarter of an hour at most."""
STEP = timedelta(days=1)
"""A step of a hold that a run left half done is recorded when somebody asks for it again."""
NAMED = timedelta(days=7)
"""A ledger that was lost is made anew within days, and digests name then what is so much older."""
FRESH = timedelta(hours=2)
"""What was written so shortly before may not be held yet, or not any more."""
