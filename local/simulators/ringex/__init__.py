"""A RingCentral platform and media server on one base URL, for a laptop and for tests.

It speaks the protocol that RingCentral documents, with the unpleasant parts on purpose: sessions
that are evicted, penalties that restart, recordings that are not ready, notifications late, twice
and out of order. Start it with `python -m local.simulators.ringex --port 4602`, or mount
`create_app()` in a test. `control.py` documents the side under `/_sim/` that is not RingCentral's.
"""

from local.simulators.ringex.app import create_app
from local.simulators.ringex.config import Config

__all__ = ["Config", "create_app"]
