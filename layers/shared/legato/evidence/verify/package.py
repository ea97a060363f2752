"""A package of `legato export`: a part of an archive, in the folder of a BagIt bag (RFC 8493).

What it is to hold is said by its data/export.json. So only that has to be there whole, and digests
between those that name it may be absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.archive.evidence import Folder
from legato.archive.layout import hold_prefix
from legato.disk import sha256_of
from legato.errors import Conflict, Failed, Refused
from legato.evidence.verify.archive import verify
from legato.evidence.verify.finding import Scope
from legato.evidence.verify.schema import parsed
from legato.model import MEDIA_TYPES, CallId, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from legato.evidence.verify.finding import Report, Tell
    from legato.evidence.verify.keys import PublicKey
    from legato.model import Json

PAYLOAD = "data"
CONTENTS = "export.json"
AUDIO = tuple(f".{extension}" for extension in MEDIA_TYPES)
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"


def is_package(folder: Path) -> bool:
    """Say whether a folder is a bag."""
    return (folder / "bagit.txt").is_file()


def payload(folder: Path) -> tuple[Folder, Scope]:
    """Return the evidence of a package, and what it has to hold. Raises Refused if it is none."""
    path = folder / PAYLOAD / CONTENTS
    try:
        content = parsed(path.read_bytes(), "export.schema.json")
    except FileNotFoundError:
        raise Refused(f"{folder} is a bag, but not a package of `legato export`") from None
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Conflict(f"{path} does not say what the package holds: {error}") from error
    return Folder(folder / PAYLOAD), scope_of(content)


def scope_of(content: Json) -> Scope:
    """Return what an export.json says."""
    calls = content["calls"]
    return Scope(
        name=content["name"],
        at=parse_time(content["exported_at"]),
        part=content["part"],
        parts=content["parts"],
        calls={call["prefix"]: frozenset(call["revisions"]) for call in calls},
        holds=frozenset(hold_prefix(CallId.of(call)) for call in calls),
        documents=frozenset(content["documents"]),
        unchained=frozenset(content["unchained"]),
        left_out=frozenset(content["left_out"]),
    )


def verify_package(
    folder: Path,
    *,
    known: Sequence[PublicKey] = (),
    deep: bool = False,
    tell: Tell = lambda _: None,
) -> tuple[Report, Scope]:
    """Look at everything in a package, as verify does with an archive, and return what it holds.

    It is as old as it says. Raises Refused if it is no package, Failed.
    """
    evidence, scope = payload(folder)
    report = verify(
        evidence,
        known=known,
        deep=deep,
        at=scope.at,
        scope=scope,
        tell=tell,
    )
    check_bag(folder, report, deep=deep)
    return report, scope


def check_bag(folder: Path, report: Report, *, deep: bool) -> None:
    """Compare a package with its own list of files, and blame what nobody has blamed yet.

    The list proves nothing against whoever can write it too. Raises Failed.
    """
    listed = dict(_lines(folder / MANIFEST, report, MANIFEST))
    tags = dict(_lines(folder / TAG_MANIFEST, report, TAG_MANIFEST))
    blamed = {finding.key for finding in report.findings}
    for name, sha256 in (listed | tags).items():
        key = name.removeprefix(f"{PAYLOAD}/")
        if key not in blamed:
            _compare(folder / name, key, sha256, report, deep=deep)
    for name in _files(folder / PAYLOAD) if listed else ():
        if f"{PAYLOAD}/{name}" not in listed and name not in blamed:
            report.blame(name, "unlisted", "the package does not list it")
    report.findings.sort()


def _compare(path: Path, key: str, sha256: str, report: Report, *, deep: bool) -> None:
    if not path.is_file():
        report.blame(key, "missing", "the package lists it, and it is not there")
        return
    # That of a call is read with its manifest.
    if key.endswith(AUDIO) and not (deep and key.startswith("listen/")):
        return
    try:
        found = sha256_of(path)
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from error
    if found != sha256:
        report.blame(key, "edited", "its bytes are not those that the package lists")


def _lines(path: Path, report: Report, key: str) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of all that a list of the bag names."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        report.blame(key, "missing", "it is not there")
        return
    except (OSError, ValueError) as error:
        raise Failed(f"{path} cannot be read: {error}") from error
    for line in text.splitlines():
        sha256, _, name = line.partition(" ")
        name = name.lstrip(" *")
        if ".." in name.split("/") or name.startswith("/"):
            report.blame(key, "invalid", "it names something outside of the package")
        elif name:
            yield name, sha256


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if not path.is_dir():
            yield path.relative_to(folder).as_posix()
