"""A RingCX on one base URL, for a laptop and for tests.

It speaks what https://developers.ringcentral.com/engage/voice/guide documents of the token
exchange, `interaction-metadata` and the recordings of segments, with the unpleasant parts on
purpose: tokens of five minutes, two limits at once, rows that come late and are cut off without a
word, refusals that are no JSON. Start it with `python -m local.simulators.ringcx --port 4603`, or
mount `create_app()` in a test. `control.py` documents the side under `/_sim/`, which is not
RingCentral's.
"""

from local.simulators.ringcx.app import create_app
from local.simulators.ringcx.config import Config

__all__ = ["Config", "create_app"]
