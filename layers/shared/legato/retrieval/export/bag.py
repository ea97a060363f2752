"""The BagIt bag around the payload: RFC 8493, as the Library of Congress's own library writes it.

Version 0.97, because from 1.0 on the manifest has to write `%` in a name as `%25`, which sha256sum
takes for another name.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from legato.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DECLARATION = "BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n"
MANIFEST = "manifest-sha256.txt"
TAGS = ("bagit.txt", "bag-info.txt", MANIFEST, "tagmanifest-sha256.txt")


def write_bag(folder: Path, info: Mapping[str, str]) -> str:
    """Write the bag's own files around `data/`, and return the SHA-256 of its manifest.

    Raises Failed if it cannot be read, or written.
    """
    import bagit

    unwrite_bag(folder)
    try:
        (folder / "bagit.txt").write_text(DECLARATION, encoding="utf-8")
        # Without a line yet: it says which hash is wanted.
        (folder / MANIFEST).touch()
        (folder / "bag-info.txt").touch()
        bag = bagit.Bag(str(folder))
        bag.info.update(info)
        bag.save(manifests=True)
    except (OSError, bagit.BagError) as error:
        raise Failed(f"the package in {folder} cannot be written: {error}") from error
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def unwrite_bag(folder: Path) -> None:
    """Take the bag's own files away, so that nothing looks like a bag."""
    for name in TAGS:
        (folder / name).unlink(missing_ok=True)
