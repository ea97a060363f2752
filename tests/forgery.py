"""A versioned bucket in memory, as whoever verifies sees it, and as whoever forges writes it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from legato.archive.evidence import Guard, Version, VersionLock


@dataclass
class Kept:
    """A version: what S3 keeps of it."""

    id: str
    body: bytes
    modified_at: datetime
    held: bool = False


class VersionStore:
    """Keeps versions. S3 knows when it got each: `now`, or `present` whatever anybody says."""

    versioned = True

    def __init__(self):
        self.locked = False
        self.now = None
        self.present = None
        self.versions = defaultdict(list)
        self.count = 0

    def put(self, key, body):
        self.count += 1
        kept = Kept(f"v{self.count}", body, self.present or self.now)
        self.versions[key].insert(0, kept)
        return kept.id

    def read(self, version):
        """Read a key, or one version as whoever verifies names it."""
        if isinstance(version, str):
            return self.versions[version][0].body
        return self._kept(version).body

    def remove(self, key):
        del self.versions[key]

    def replace(self, key, body):
        """Remove what is there, and put another version in its place."""
        self.remove(key)
        return self.put(key, body)

    def hold(self, prefix, *, on=True):
        for key, kept in self.versions.items():
            if key.startswith(prefix):
                for each in kept:
                    each.held = on

    def listed(self, prefix):
        for key in sorted(self.versions):
            if key.startswith(prefix):
                for kept in self.versions[key]:
                    size, at = len(kept.body), kept.modified_at
                    yield Version(key=key, id=kept.id, size=size, modified_at=at)

    def sha256(self, version):
        raise NotImplementedError

    def guard(self, version):
        until = version.modified_at + timedelta(days=7 * 365)
        lock = VersionLock(mode="COMPLIANCE", until=until) if self.locked else None
        return Guard(lock=lock, held=self._kept(version).held)

    def held(self, version):
        return self._kept(version).held

    def _kept(self, version):
        return next(each for each in self.versions[version.key] if each.id == version.id)
