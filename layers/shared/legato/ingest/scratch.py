"""The folder for audio on its way."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from legato.disk import private_folder

if TYPE_CHECKING:
    from pathlib import Path


def clear_scratch(folder: Path) -> Path:
    """Make a folder that is empty, and return it.

    A process that is killed cleans up nothing, and Lambda keeps its /tmp for the one that takes its
    place. One invocation runs there at a time, so whatever is in the folder belongs to nobody.
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    """
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    private_folder(folder)
    return folder
