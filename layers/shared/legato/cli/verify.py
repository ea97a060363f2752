"""`legato verify`: prove that nothing of an archive is missing, and that nothing was altered."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from legato.archive.layout import call_in, hold_prefix
from legato.catalogue.index import Query
from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson
from legato.cli.output import ListTable, end, in_short, moment, say, write_json
from legato.cli.select import Filters, chosen
from legato.cli.times import moment_of
from legato.errors import Conflict, LegatoError, Refused
from legato.format import counted
from legato.model import Json, format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from legato.archive.evidence import Evidence
    from legato.catalogue.index import Row
    from legato.cli.context import Stack
    from legato.evidence.verify.finding import Report, Scope
    from legato.evidence.verify.finding import VerifyProgress as Step
    from legato.evidence.verify.keys import PublicKey
    from legato.evidence.verify.timestamps import Authority

FIRST = 3
"""So many documents of a kind are named; a package may have thousands."""
KEYS_FROM = {
    "given": "Signatures were checked with the key given with --key.",
    "kms": "Signatures were checked with the stack's key from AWS KMS.",
    "archive": "Signatures were checked with the key in the archive itself: give the true one with "
    "--key.",
}

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "verify",
    help="""Prove that nothing in the archive is missing or altered.

    Checks the chain of digests, the manifests and hold records that the digests name, and the
    objects that the manifests name. FOLDER is a copy of the bucket (made with `aws s3 sync`) or a
    package of `legato export`, and is verified without AWS and without a network. Without FOLDER,
    the stack's bucket is verified, including all versions and locks; the filters restrict this to
    the calls that they find, and to the chain of digests as a whole. docs/evidence.md explains each
    finding, what is proven, and how to verify without Legato.

    \b
    Examples:
      legato verify
      legato --stack archive --region eu-central-1 verify --deep
      legato verify --case 2026-117 --deep
      legato verify exported/ --deep --key legato.pem --at 2026-11-20T18:00
      legato verify 2026-117-20261124 --deep --key legato.pem
      legato verify --tsa-ca authority.pem
      legato verify --digest kept.json
    """,
    ends=(Exit.COLD, Exit.NOT_FOUND, Exit.TAMPERED),
    interrupted="interrupted: nothing is proven, and nothing was changed",
)
def verify_archive(
    context: typer.Context,
    filters: Filters,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            exists=True,
            file_okay=False,
            help="A copy of the bucket as files, or a package.",
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read all audio and recompute its SHA-256.")
    ] = False,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Public key in PEM; only keys given here are trusted; may be repeated. Otherwise "
            "a stack's key comes from AWS KMS, and that of a FOLDER from the folder itself.",
        ),
    ] = None,
    tsa_ca: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Root certificates of timestamp authorities, in PEM. Without them, timestamps are "
            "compared with their digests, but their signers are not verified.",
        ),
    ] = None,
    digest: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|SHA256",
            help="A digest that you kept elsewhere, or its SHA-256; may be repeated. It has to be "
            "in the chain, which proves that the chain was not replaced as a whole.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When FOLDER was copied; a day means its start. [default: the newest time in it, "
            "or the time of the export]",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    from legato.archive.evidence import Folder
    from legato.clock import SystemClock
    from legato.evidence.verify.keys import read_key
    from legato.evidence.verify.package import check_bag, is_package, payload
    from legato.evidence.verify.timestamps import read_authorities

    if at is not None and folder is None:
        raise typer.BadParameter("--at needs a FOLDER: a bucket is verified as it is now")
    query = filters.query()
    if folder is not None and query != Query():
        raise typer.BadParameter("the filters need the stack's catalogue: leave out FOLDER")
    copied_at = None if at is None else moment_of("--at", at, filters.zone)
    known = [_read(path, read_key) for path in key or ()]
    keys_from = "given" if known else "archive"
    authorities = [] if tsa_ca is None else _read(tsa_ca, read_authorities)
    kept = [_sha256(each) for each in digest or ()]
    evidence: Evidence
    scope: Scope | None = None
    if folder is None:
        evidence, copied_at = context.obj.evidence(), SystemClock().now()
        if not known and (own := own_key(context.obj)):
            known, keys_from = [own], "kms"
    elif is_package(folder):
        evidence, scope = payload(folder)
        copied_at = copied_at or scope.at
    else:
        evidence = Folder(folder)
    if kept and scope is not None:
        raise Refused("--digest needs an archive: a package has only some of its digests")
    rows = None if query == Query() else chosen(context.obj, (), query)
    report = _report(evidence, scope, rows, known, authorities, kept, deep=deep, at=copied_at)
    if folder is not None and scope is not None:
        check_bag(folder, report, deep=deep)
    if as_json:
        calls = None if rows is None else [row.id._asdict() for row in rows]
        said = _to_json(report, deep=deep) | {"keys_from": keys_from, "calls": calls}
        package = {} if scope is None else {"package": _package_to_json(scope, report)}
        write_json(said | package)
    else:
        say(KEYS_FROM[keys_from])
        _show(report, scope, rows, deep=deep, trusted=bool(authorities))
    if not report.valid:
        many = counted(len(report.findings), "finding")
        end(f"{many}: docs/evidence.md explains each", Exit.TAMPERED)


def _read[T](path: Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(path.read_bytes())
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error


def _sha256(digest: str) -> str:
    """Return the SHA-256 of a digest that a person kept, as a file or as its SHA-256."""
    if re.fullmatch("[0-9a-fA-F]{64}", digest):
        return digest.lower()
    return _read(Path(digest), lambda body: hashlib.sha256(body).hexdigest())


def own_key(stack: Stack) -> PublicKey | None:
    """Return the stack's public key, or say why it is not available."""
    from legato.evidence.verify.keys import read_key

    try:
        return read_key(stack.signing_key())
    except LegatoError as error:
        say(f"legato: cannot get the stack's public key: {in_short(error)}", err=True)
        return None


def _report(
    evidence: Evidence,
    scope: Scope | None,
    rows: Sequence[Row] | None,
    known: Sequence[PublicKey],
    authorities: Sequence[Authority],
    kept: Sequence[str],
    *,
    deep: bool,
    at: datetime | None,
) -> Report:
    from rich.progress import MofNCompleteColumn

    from legato.cli.progress import bars
    from legato.evidence.verify.archive import verify

    only = None if rows is None else {folder for row in rows for folder in _folders(row)}
    shown = bars(MofNCompleteColumn(), transient=True)
    tasks = {part: shown.add_task(part, total=None) for part in ("digests", "documents")}

    def tell(step: Step) -> None:
        shown.update(tasks[step.part], completed=step.done, total=step.total)

    with shown:
        return verify(
            evidence,
            known=known,
            authorities=authorities,
            deep=deep,
            at=at,
            kept=kept,
            scope=scope,
            only=only,
            tell=tell,
        )


def _folders(row: Row) -> tuple[str, str]:
    """Return where a call and its holds are. Raises Conflict for the folder of another call.

    The catalogue is no evidence: nobody shall have the wrong call proven by changing it.
    """
    if call_in(row.prefix) != row.id:
        raise Conflict(
            f"the catalogue has {row.prefix} for {row.id}: run `legato index rebuild`, and verify "
            "again"
        )
    return row.prefix, hold_prefix(row.id)


def _show(
    report: Report,
    scope: Scope | None,
    rows: Sequence[Row] | None,
    *,
    deep: bool,
    trusted: bool,
) -> None:
    for line in _summary(report, deep=deep, trusted=trusted, package=scope is not None):
        say(line)
    unproven = sorted(key for key in report.unproven if not key.startswith("access/"))
    for line in () if scope is None else _scope(scope, unproven, deep=deep):
        say(line)
    if rows is not None:
        say(f"Only {counted(len(rows), 'call')} and the chain of digests were verified.")
    if report.valid and scope is None and rows is None:
        say("Valid: nothing is missing or altered.")
        return
    if report.valid and unproven:
        say(f"Nothing is wrong, but not proven yet: {counted(len(unproven), 'document')}.")
        return
    if report.valid:
        say("Valid: nothing of these calls is missing or altered.")
        return
    table = ListTable("Finding", "Object", "What is wrong", whole="Object")
    for finding in report.findings:
        table.add(finding.kind, finding.key, finding.problem)
    table.show()


def _scope(scope: Scope, unproven: Sequence[str], *, deep: bool) -> list[str]:
    """Say what a package is, and what it does not prove."""
    part = f", part {scope.part} of {scope.parts}" if scope.parts > 1 else ""
    many = counted(len(scope.calls), "call")
    lines = [f"Package {scope.name}{part}: {many}, exported at {moment(scope.at)}."]
    lines += [f"Not proven yet: {key}, which no digest names." for key in unproven[:FIRST]]
    if len(unproven) > FIRST:
        lines.append(f"Nor are {len(unproven) - FIRST} more documents: --json lists them.")
    if scope.left_out:
        lines.append(f"{len(scope.left_out)} objects in cold storage were left out.")
    if not deep:
        lines.append("Recordings joined for listening were not read.")
    return [
        *lines,
        "Not proven: that the package has all calls there were. The archive's access log says what "
        "was exported, with the SHA-256 of this package's manifest-sha256.txt.",
    ]


def _summary(report: Report, *, deep: bool, trusted: bool, package: bool) -> list[str]:
    span = "no time"
    if report.begin is not None and report.end is not None:
        span = f"{moment(report.begin)} to {moment(report.end)}"
    lines = [
        f"{counted(report.digests, 'digest')}, of {span}.",
        f"{counted(report.documents, 'document')} and {counted(report.objects, 'object')}, "
        f"{_bytes(report.size)}.",
    ]
    if deep:
        cold = f"; {counted(report.cold, 'object')} not, in cold storage" if report.cold else ""
        lines.append(f"Read to the end: {counted(report.hashed, 'object')}{cold}.")
    else:
        lines.append("Audio was not read, only its size compared: --deep does.")
    if report.witnessed and report.witnessed_at is not None:
        maker = " and ".join(report.authorities)
        doubt = "" if trusted else ", if it is true: --tsa-ca checks it"
        lines.append(
            f"Witnessed by {maker}: {counted(report.witnessed, 'digest')}, last at "
            f"{moment(report.witnessed_at)}{doubt}."
        )
    if report.newest is not None and not package:
        lines.append(f"Keep elsewhere, for --digest: {report.newest}, the newest digest's SHA-256.")
    if report.held:
        lines.append(f"Under legal hold: {counted(report.held, 'object')}.")
    if report.young:
        lines.append(f"Too young to stand in a digest: {counted(report.young, 'document')}.")
    if report.unsealed:
        lines.append(f"Of calls that are not sealed yet: {counted(report.unsealed, 'object')}.")
    if report.at is not None and not package:
        lines.append(f"Nothing is said about what was sealed after {moment(report.at)}.")
    return lines


def _package_to_json(scope: Scope, report: Report) -> Json:
    return {
        "name": scope.name,
        "exported_at": format_time(scope.at),
        "part": scope.part,
        "parts": scope.parts,
        "calls": sorted(scope.calls),
        "unproven": sorted(report.unproven),
        "left_out": sorted(scope.left_out),
    }


def _to_json(report: Report, *, deep: bool) -> Json:
    def time(when: datetime | None) -> str | None:
        return None if when is None else format_time(when)

    return {
        "schema_version": 1,
        "valid": report.valid,
        "at": time(report.at),
        "deep": deep,
        "from": time(report.begin),
        "to": time(report.end),
        "keys": report.keys,
        "witnessed": report.witnessed,
        "witnessed_at": time(report.witnessed_at),
        "authorities": report.authorities,
        "digests": report.digests,
        "newest_digest_sha256": report.newest,
        "documents": report.documents,
        "objects": report.objects,
        "bytes": report.size,
        "hashed": report.hashed,
        "cold": report.cold,
        "held": report.held,
        "not_in_a_digest_yet": report.young,
        "not_in_a_manifest_yet": report.unsealed,
        "findings": [
            {"kind": finding.kind, "key": finding.key, "problem": finding.problem}
            for finding in report.findings
        ],
    }


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
