"""A package: what goes into it, and how it comes to be whole or not at all.

It is made in `NAME.partial` beside its place. At its end it is verified as whoever receives it
would, and only then has its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from legato import __version__
from legato.archive.document import to_bytes
from legato.disk import beside, disk, keep_names, private_folder, sha256_of, write_whole
from legato.errors import Conflict, Refused
from legato.evidence.verify.package import CONTENTS, PAYLOAD, is_package, payload, verify_package
from legato.format import volume
from legato.model import format_time
from legato.retrieval.export.bag import unwrite_bag, write_bag
from legato.retrieval.export.call_summary import CallSummary, call_summary
from legato.retrieval.export.copy_objects import bring, placed
from legato.retrieval.export.index_files import contents, custody, index_csv
from legato.retrieval.export.local import Files
from legato.retrieval.export.page import to_html
from legato.retrieval.filenames import stem
from legato.retrieval.joined import join, joined_extension
from legato.retrieval.manifests import audio

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from legato.archive.library import Library
    from legato.evidence.verify.finding import VerifyProgress
    from legato.evidence.verify.keys import PublicKey
    from legato.model import CallId, Json
    from legato.ports import Access, Accesses
    from legato.retrieval.download import Downloading
    from legato.retrieval.export.choose import Chosen, ExportRequest
    from legato.retrieval.export.proofs import Proofs

PAGE = 8 * 1024
"""Bytes of a call on the page and in the lists, about."""
TOLERATED = ("unchained", "witness-missing")
"""Faults of the archive that no package can mend, and that it says itself."""
PARTIAL = ".partial"


class Recorder(Protocol):
    """The access log, as a command writes into it."""

    def record(
        self,
        action: str,
        calls: Sequence[CallId],
        *,
        reason: str | None = None,
        details: Json | None = None,
    ) -> Json:
        """Write an access down. Raises Refused, Failed, Retry; then nothing may be read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporting:
    """What calls are exported with.

    `known` are the public keys that are the stack's own. `tell` is told what is done, of how much,
    in the part's own measure.
    """

    work: Downloading
    accesses: Accesses
    recorder: Recorder
    known: Sequence[PublicKey] = ()
    tell: Callable[[str, int, int], None] = lambda _what, _done, _total: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that is done, or was there. No digest in it names the `unchained` documents."""

    folder: Path
    part: int
    parts: int
    calls: int
    size: int
    manifest_sha256: str
    unchained: tuple[str, ...]
    new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes one package."""

    asked: ExportRequest
    chosen: Sequence[Chosen]
    proofs: Proofs
    folder: Path
    part: int
    parts: int
    ports: Exporting

    @property
    def partial(self) -> Path:
        return beside(self.folder, PARTIAL)

    @property
    def data(self) -> Path:
        return self.partial / PAYLOAD

    @property
    def missing(self) -> int:
        """Bytes that are still to be written."""
        wanted = sum(each.size + PAGE for each in self.chosen)
        files = self.proofs.files(self._digests())
        return wanted + sum(each.size for each in files.values()) - _size_of(self.data)

    def done(self) -> Package | None:
        """Return the package if it is there. Raises Refused if something else has its name."""
        if not self.folder.exists():
            return None
        if is_package(self.folder):
            _, scope = payload(self.folder)
            same = {each.row.prefix: frozenset(each.whole) for each in self.chosen}
            if (scope.name, scope.part, scope.parts) == (
                self.asked.name,
                self.part,
                self.parts,
            ) and scope.calls == same:
                sha256 = sha256_of(self.folder / "manifest-sha256.txt")
                # What it lacks, whatever the archive could add by now: a package never changes.
                return self._package(sha256, _without_accesses(scope.unchained), new=False)
        raise Refused(f"{self.folder} exists and holds something else: choose another --out")

    def make(self) -> Package:
        """Make the package, or go on with it."""
        with disk(self.folder):
            private_folder(self.partial)
            unwrite_bag(self.partial)
            try:
                sha256 = self._made()
            except BaseException:
                # Whatever remains does not look like a package.
                unwrite_bag(self.partial)
                raise
            self._record(sha256)
            self.partial.replace(self.folder)
            keep_names(self.folder.parent)
        return self._package(sha256, self._unchained(), new=True)

    def _made(self) -> str:
        """Fill the folder, and return the SHA-256 of its list of files."""
        self._bring()
        cards = [self._card(each) for each in self.chosen]
        self._describe(cards)
        sha256 = write_bag(self.partial, self._info())
        self._verify()
        return sha256

    def _package(self, sha256: str, unchained: Sequence[str], *, new: bool) -> Package:
        return Package(
            folder=self.folder,
            part=self.part,
            parts=self.parts,
            calls=len(self.chosen),
            size=_size_of(self.folder),
            manifest_sha256=sha256,
            unchained=tuple(unchained),
            new=new,
        )

    def _unchained(self) -> list[str]:
        return _without_accesses({key for each in self.chosen for key in each.unchained})

    def _digests(self) -> set[str]:
        return {digest for each in self.chosen for digest in each.digests}

    def _bring(self) -> None:
        bring(
            self.chosen,
            self.proofs,
            self.data,
            self.ports.work,
            tell=lambda done, total: self.ports.tell(f"part {self.part}", done, total),
        )

    def _card(self, chosen: Chosen) -> CallSummary:
        """Return what is said of a call, and join it where its legs lie apart."""
        manifest = chosen.manifest
        sounds = audio(manifest)
        if len(sounds) == 1:
            file, sha256 = sounds[0]["key"], sounds[0]["sha256"]
        elif any(leg["unsupported"] for leg in sounds):
            file, sha256 = "", ""  # each leg by itself is what there is
        else:
            file = f"listen/{stem(chosen.row)}.{joined_extension(sounds)}"
            # To join is to read, and the legs are here.
            here = cast("Library", Files(self.data))
            near = replace(self.ports.work, library=here, tell=lambda _: None, overwrite=True)
            sha256 = join(manifest, placed(self.data, file), near)
        sealed = chosen.documents[0]
        return call_summary(
            manifest,
            key=sealed.key,
            sha256=str(sealed.sha256),
            file=file,
            file_sha256=sha256,
            peaks=(self.data / manifest["peaks"]["key"]).read_bytes(),
            digest=sealed.digest,
            cases=chosen.row.cases,
        )

    def _describe(self, cards: Sequence[CallSummary]) -> None:
        """Write the lists and the page."""
        accesses = _each_once(self.chosen)
        said = custody(self.asked, accesses, calls=len(cards), part=self.part, parts=self.parts)
        what = contents(self.asked, self.chosen, part=self.part, parts=self.parts)
        page = to_html(
            cards,
            said,
            name=self.folder.name,
            unchained=self._unchained(),
            zone=self.asked.zone,
        )
        files = {
            "index.csv": index_csv(cards),
            "custody.json": to_bytes(said),
            CONTENTS: to_bytes(what),
            "index.html": page,
        }
        for name, body in files.items():
            write_whole(self.data / name, body)

    def _info(self) -> Mapping[str, str]:
        """Return what bag-info.txt says.

        https://www.rfc-editor.org/rfc/rfc8493#section-2.2.2
        """
        group = re.sub(r"-part-\d+-of-\d+$", "", self.folder.name)
        return {
            "External-Identifier": self.asked.name,
            "Bag-Group-Identifier": group,
            "Bag-Count": f"{self.part} of {self.parts}",
            "Bagging-Date": f"{self.asked.at:%Y-%m-%d}",
            "Bag-Size": volume(_size_of(self.data)),
            "Bag-Software-Agent": f"Legato {__version__}",
            "Contact-Name": self.asked.by,
            "External-Description": f"{len(self.chosen)} call recordings, with what proves them",
            "Exported-At": format_time(self.asked.at),
            "Reason": self.asked.reason,
        }

    def _verify(self) -> None:
        """Raise Conflict for what whoever receives the package would find wrong with it."""

        def tell(step: VerifyProgress) -> None:
            self.ports.tell("verifying", step.done, step.total)

        report, _ = verify_package(self.partial, known=self.ports.known, deep=True, tell=tell)
        wrong = [each for each in report.findings if each.kind not in TOLERATED]
        if wrong:
            first = wrong[0]
            more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise Conflict(
                f"nothing was exported: {first.key} is not as it was sealed ({first.kind}: "
                f"{first.problem}){more}: run `legato verify`"
            )

    def _record(self, sha256: str) -> None:
        details = {
            "package": self.folder.name,
            "manifest_sha256": sha256,
            "part": self.part,
            "parts": self.parts,
        }
        self.ports.recorder.record(
            "exported",
            [each.row.id for each in self.chosen],
            reason=self.asked.reason,
            details=details,
        )


def _without_accesses(unchained: Collection[str]) -> list[str]:
    """Return what no digest names yet, beside accesses: that of this export is never named."""
    return sorted(key for key in unchained if not key.startswith("access/"))


def _each_once(chosen: Sequence[Chosen]) -> list[Access]:
    """Return all accesses to these calls, the oldest first."""
    found = {access.key: access for each in chosen for access in each.accesses}
    return sorted(found.values(), key=lambda access: (access.at, access.key))


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
