"""The end of the demo: what was archived, where to hear it, and what to type next."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from legato.format import counted
from legato.model import provider_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.demo.placed import Placed

WIDTH = 80
"""Columns of a line that names no path of this machine."""


def summary(placed: Sequence[Placed], package: Path) -> list[str]:
    """Return the lines that the demo ends with. `package` is the folder of the export."""
    archived = [one for one in placed if one.evidence is not None]
    good = sum(one.evidence is not None and not one.faults for one in placed)
    where = Counter(provider_name(one.call.provider) for one in archived)
    how = Counter(one.how for one in archived)
    checked = sum(one.evidence.checked for one in archived if one.evidence)
    wrong = sum(len(one.evidence.wrong) for one in archived if one.evidence)
    restored = sum(one.evidence.restored for one in archived if one.evidence)
    seconds = sum(one.duration_ms for one in archived) / 1000
    legs = sum(len(one.legs) for one in archived)
    # What was never recorded is right, unless something should have been.
    silent = sum(one.evidence is None and not one.faults for one in placed)
    named = ", ".join(f"{name} {many}" for name, many in where.items())
    folder = Path(os.path.relpath(package))
    return [
        f"{counted(len(placed), 'call')} placed: {good} archived and verified, "
        f"{silent} never recorded.",
        f"  Archived    {named}: {counted(legs, 'leg')}, {seconds:.1f} seconds.",
        f"  Joined      {how['copy']} without decoding, {how['transcode']} of mixed formats; "
        f"{how['single']} had one leg.",
        f"  Kept apart  {how['apart']}: cold legs, which `legato get` joins.",
        f"  Restored    {counted(restored, 'object')}: takes a moment here, hours at AWS.",
        f"  SHA-256     {checked - wrong} of {checked} objects in S3 are as they were sealed.",
        f"  Files       {counted(sum(one.file is not None for one in placed), 'recording')} in "
        f"{folder.parent.parent}/",
        "Hear the calls: open this page in a browser",
        f"  {(package / 'data' / 'index.html').resolve().as_uri()}",
        "Next:",
        f"  .venv/bin/legato verify {folder} --deep",
        "  make local                        # the same system, until Ctrl-C",
        "  .venv/bin/legato --local status   # in another terminal",
    ]
