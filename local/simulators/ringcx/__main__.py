"""Starts the simulator: `python -m local.simulators.ringcx --port 4603`."""

from __future__ import annotations

from local.simulators.ringcx import Config, create_app
from local.simulators.serve import serve

if __name__ == "__main__":
    serve("local.simulators.ringcx", port=4603, kind=Config, make_app=create_app)
