"""`legato verify`: prove that nothing of an archive is missing, and that nothing was altered."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from legato.cli.say import FAILED, end, in_short, moment, speaking
from legato.clock import SystemClock
from legato.errors import Failed, LegatoError, Refused, Retry
from legato.model import Json, format_time, parse_time
from legato.verify import verify as verified
from legato.verify.evidence import Folder
from legato.verify.keys import read_key
from legato.verify.witness import read_authorities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from legato.cli.place import Place
    from legato.verify.evidence import Evidence
    from legato.verify.finding import Progress as Step
    from legato.verify.finding import Report
    from legato.verify.keys import PublicKey
    from legato.verify.witness import Authority

WIDE = 2000
"""Columns where nobody looks at a terminal: nothing is folded."""
EXIT_CODES = (
    "Exit codes: 0 everything is valid, 1 something is not, or could not be read, 2 wrong usage, "
    "130 interrupted."
)
KEYS_FROM = {
    "given": "The key of the signatures was given with --key.",
    "kms": "The key of the signatures is the stack's, as AWS KMS has it.",
    "archive": "The key of the signatures is the archive's own word: give the true one with --key.",
}

app = typer.Typer(rich_markup_mode=None)


def _parsed(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: write 2026-10-01T08:00") from None


@app.command(
    name="verify",
    help=f"""Prove that nothing of the archive is missing, and that nothing was altered.

    Goes through the chain of digests, the manifests and hold records that they name, and the
    objects that the manifests name. FOLDER is a copy of the bucket, such as `aws s3 sync` makes:
    it needs neither AWS nor a network. Without it, the stack's bucket is verified, with all
    versions of its objects and their locks. docs/evidence.md says what each finding means, what is
    proven, and how to repeat it without Legato.

    \b
    Examples:
      legato verify
      legato --stack archive --region eu-central-1 verify --deep
      legato verify exported/ --deep --key legato.pem --at 2026-11-20T18:00
      legato verify --tsa-ca authority.pem

    {EXIT_CODES}
    """,
)
def verify(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(exists=True, file_okay=False, help="A copy of the bucket, as files."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read all audio, and compute its SHA-256 again.")
    ] = False,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="The true public key, in PEM; may be repeated. No other one counts then. Without "
            "it, the key of a stack is asked of AWS KMS, and that of a FOLDER is the one in it.",
        ),
    ] = None,
    tsa_ca: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="The root certificates of time stamping authorities, in PEM. Without them, time "
            "stamps are compared with their digests, and their makers only named.",
        ),
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=_parsed,
            metavar="TIME",
            help="When FOLDER was copied; without it, the newest time that it names.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
) -> None:
    if at is not None and folder is None:
        raise typer.BadParameter("--at goes with a FOLDER: a bucket is verified as it is now")
    with speaking("interrupted; nothing is proven, and nothing was changed"):
        known = [_read(path, read_key) for path in key or ()]
        keys_from = "given" if known else "archive"
        authorities = [] if tsa_ca is None else _read(tsa_ca, read_authorities)
        evidence: Evidence
        if folder is None:
            evidence, at = context.obj.evidence(), SystemClock().now()
            if not known and (own := _own_key(context.obj)):
                known, keys_from = [own], "kms"
        else:
            evidence = Folder(folder)
        report = _report(evidence, known, authorities, deep=deep, at=at)
    if as_json:
        said = _to_json(report, deep=deep)
        typer.echo(json.dumps(said | {"keys_from": keys_from}, indent=2))
    else:
        typer.echo(KEYS_FROM[keys_from])
        _show(report, deep=deep, trusted=bool(authorities))
    if not report.valid:
        many = "1 finding" if len(report.findings) == 1 else f"{len(report.findings)} findings"
        end(f"{many}: docs/evidence.md says what each means", FAILED)


def _read[T](path: Path, read: Callable[[bytes], T]) -> T:
    try:
        return read(path.read_bytes())
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error


def _own_key(place: Place) -> PublicKey | None:
    """Return the stack's true key, or say why it cannot be had."""
    try:
        return read_key(place.signing_key())
    except LegatoError as error:
        typer.echo(f"legato: the stack's true key is not known: {in_short(error)}", err=True)
        return None


def _report(
    evidence: Evidence,
    known: Sequence[PublicKey],
    authorities: Sequence[Authority],
    *,
    deep: bool,
    at: datetime | None,
) -> Report:
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or console.no_color,
    )
    tasks = {part: bars.add_task(part, total=None) for part in ("digests", "documents")}

    def tell(step: Step) -> None:
        bars.update(tasks[step.part], completed=step.done, total=step.total)

    with bars:
        try:
            return verified(
                evidence, known=known, authorities=authorities, deep=deep, at=at, tell=tell
            )
        except Retry as error:
            raise Failed(f"{in_short(error)}: run the same command again") from error


def _show(report: Report, *, deep: bool, trusted: bool) -> None:
    for line in _summary(report, deep=deep, trusted=trusted):
        typer.echo(line)
    if report.valid:
        typer.echo("Valid: nothing is missing, and nothing was altered.")
        return
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDE
    table = Table("Finding", box=None, pad_edge=False)
    table.add_column("Object", overflow="fold")
    table.add_column("What is wrong")
    for finding in report.findings:
        table.add_row(finding.kind, _printable(finding.key), _printable(finding.problem))
    console.print(table)


def _summary(report: Report, *, deep: bool, trusted: bool) -> list[str]:
    span = "no time"
    if report.begin is not None and report.end is not None:
        span = f"{moment(report.begin)} to {moment(report.end)}"
    lines = [
        f"{report.digests} digests, of {span}.",
        f"{report.documents} documents and {report.objects} objects, {_bytes(report.size)}.",
    ]
    if deep:
        cold = f", {report.cold} are cold and could not be" if report.cold else ""
        lines.append(f"{report.hashed} objects were read to their end{cold}.")
    else:
        lines.append("Audio was not read, only its size compared: --deep does.")
    if report.witnessed and report.witnessed_at is not None:
        maker = _printable(" and ".join(report.authorities))
        doubt = "" if trusted else ", if it is true: --tsa-ca checks it"
        lines.append(
            f"{report.witnessed} digests are witnessed by {maker}, last at "
            f"{moment(report.witnessed_at)}{doubt}."
        )
    if report.held:
        lines.append(f"{report.held} objects are under legal hold.")
    if report.young:
        lines.append(f"{report.young} documents are too young to stand in a digest.")
    if report.unsealed:
        lines.append(f"{report.unsealed} objects belong to calls that are not sealed yet.")
    if report.at is not None:
        lines.append(f"Nothing is said about what was sealed after {moment(report.at)}.")
    return lines


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


def _printable(text: str) -> str:
    """Replace what would command a terminal: whoever names objects chooses these characters."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
