"""`legato export`: calls as packages for a court, which can be verified without Legato."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from legato.catalogue.index import Query
from legato.cli.cold import ColdCalls, cold_named, readable
from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson, Out, Reason, Yes
from legato.cli.output import say, write_json
from legato.cli.select import Selection, chosen, confirm_many, few
from legato.cli.times import zone_name, zone_of
from legato.cli.verify import own_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from legato.cli.context import Stack
    from legato.model import Json
    from legato.retrieval.export.package import Package

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "export",
    help="""Export calls as packages that a recipient can verify without Legato.

    A package is a folder (BagIt, RFC 8493) with everything that the archive has of the calls, under
    its original keys, and the digests and signatures that prove it; with index.html, which plays
    the calls in any browser, offline; and with index.csv and custody.json. To verify it, run
    `sha256sum -c manifest-sha256.txt` or `legato verify FOLDER`.

    Every byte is verified while it is copied, and the whole package at the end; a package with a
    wrong byte is not finished. If the command is interrupted, the same command resumes. Who exports
    what, and why, is recorded in the access log first. Cold calls have to be restored before, which
    --restore requests at a price that is shown first; --skip-cold leaves them out.

    \b
    Examples:
      legato export ringex/401555000/s-a0b1c2d3e4f5 --name 2026-117 --reason "subpoena 4711"
      legato export --number +15551230000 --from 2026-11-01 --name 2026-117 --out court
      legato export --case 2026-117 --name 2026-117 --out discs --max-size 650MB --all-revisions
    """,
    ends=(Exit.COLD, Exit.NOT_FOUND, Exit.TAMPERED),
    interrupted="interrupted: the same command resumes the export",
)
def export_calls(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the packages, such as that of the lawsuit."),
    ],
    selection: Selection,
    cold: ColdCalls,
    out: Out = Path(),
    max_size: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Maximum package size; larger exports are split into several packages. A call is "
            "never split.",
        ),
    ] = "4GB",
    all_revisions: Annotated[
        bool,
        typer.Option(
            "--all-revisions",
            help="Also the audio of older revisions, of which only the manifests are exported "
            "otherwise.",
        ),
    ] = False,
    yes: Yes = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    from legato.clock import SystemClock
    from legato.retrieval.export.choose import ExportRequest
    from legato.retrieval.export.export import export
    from legato.retrieval.export.split import parsed_size

    stack: Stack = context.obj
    query = selection.query()
    wanted = ExportRequest(
        name=name,
        reason=reason or "",
        query=None if query == Query() else str(query),
        all_revisions=all_revisions,
        max_size=parsed_size(max_size),
        at=SystemClock().now(),
        zone=zone_name(zone_of(selection.zone)),
    )
    rows = chosen(stack, selection.names(), query)
    if query != Query():
        confirm_many("export", len(rows), yes=yes)
    rows = readable(rows, stack=stack, cold=cold, reason=reason, yes=yes, err=as_json)
    done = []
    own = own_key(stack)
    with _telling() as tell, cold_named():
        ports = stack.exporting(known=[own] if own else [], tell=tell)
        for package in export(rows, wanted, out, ports):
            done.append(package)
            if not as_json:
                _show(package)
    if as_json:
        write_json({"packages": [*map(_to_json, done)]})


def _show(package: Package) -> None:
    from legato.format import counted, volume

    many = counted(package.calls, "call")
    there = "" if package.new else ", exported before"
    say(str(package.folder))
    say(
        f"legato: {package.folder.name}: {many}, {volume(package.size)}{there}; open "
        f"data/index.html; SHA-256 of manifest-sha256.txt: {package.manifest_sha256}",
        err=True,
    )
    if package.unchained:
        are = "is" if len(package.unchained) == 1 else "are"
        documents = counted(len(package.unchained), "document")
        say(
            f"legato: {documents} {are} not proven yet, since no digest names "
            f"{'it' if are == 'is' else 'them'} ({few(package.unchained)})",
            err=True,
        )
        say("  Digests are written hourly: export into another --out two hours later.", err=True)


def _to_json(package: Package) -> Json:
    return {
        "folder": str(package.folder),
        "part": package.part,
        "parts": package.parts,
        "calls": package.calls,
        "bytes": package.size,
        "manifest_sha256": package.manifest_sha256,
        "unchained": list(package.unchained),
        "new": package.new,
    }


@contextmanager
def _telling() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far it is: bars on a terminal, a line for each step elsewhere."""
    from rich.progress import TaskProgressColumn

    from legato.cli.progress import bars

    shown = bars(TaskProgressColumn(), transient=True)
    tasks = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = shown.add_task(what, total=total)
            if not shown.console.is_terminal:
                say(f"legato: {what}", err=True)
        shown.update(tasks[what], completed=done, total=total)

    with shown:
        yield tell
