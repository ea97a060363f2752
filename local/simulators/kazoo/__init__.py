"""A 2600Hz Kazoo on one base URL, for a laptop and for tests.

It speaks what https://github.com/2600hz/kazoo (applications/crossbar) has of logging in and
recordings, and sends recordings to a `url` or a storage plan's bucket, with the unpleasant parts on
purpose: a JSON document where audio was wanted, metadata long before their audio, two databases at
the end of a month, a token bucket. Start it with `python -m local.simulators.kazoo --port 4604`, or
mount `create_app()` in a test. `control.py` documents the side under `/_sim/`, which Kazoo
does not have.
"""

from local.simulators.kazoo.app import create_app
from local.simulators.kazoo.config import Config

__all__ = ["Config", "create_app"]
