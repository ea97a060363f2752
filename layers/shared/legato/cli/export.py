"""`legato export`: calls as packages for a court, which prove themselves without Legato."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli import query as asked
from legato.cli.exit_codes import EXIT_CODES
from legato.cli.options import AsJson
from legato.cli.output import in_short, say, speaking, write_json
from legato.cli.verify import own_key
from legato.errors import Failed, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from legato.cli.context import Place
    from legato.model import Json
    from legato.retrieval.export.package import Package

app = typer.Typer(rich_markup_mode=None)


@app.command(
    name="export",
    help=f"""Export calls for a case, as packages that prove themselves.

    A package is a folder (BagIt, RFC 8493) with all that the archive has of the calls, under its
    own keys, with the digests and signatures that prove it; with index.html, which plays the calls
    in any browser without a network; and with index.csv and custody.json. Whoever has it needs
    nothing else: `sha256sum -c manifest-sha256.txt`, and `legato verify FOLDER`.

    Every byte is verified on its way, and the whole package at its end: one wrong byte, and there
    is none. The same command goes on where it ended. Who exported what, and why, is written down
    before anything is read. Calls in cold storage have to be restored before.

    \b
    Examples:
      legato export ringex/401555000/s-a0b1c2d3e4f5 --case 2026-117 --reason "subpoena 4711"
      legato export --query "--number +15551230000 --from 2026-11-01" --case 2026-117 --to court
      legato export --query "--case 2026-117" --case 2026-117 --to discs --max-size 650MB \\
          --all-revisions

    {EXIT_CODES}
    """,
)
def command(
    context: typer.Context,
    case: Annotated[
        str, typer.Option(metavar="CASE", help="For which case: the packages are named by it.")
    ],
    calls: asked.Calls = None,
    query: asked.QueryText = None,
    folder: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="Where to; made if it is not there.")
    ] = Path(),
    max_size: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="Of a package: more become several. No call is divided, ever."
        ),
    ] = "4GB",
    all_revisions: Annotated[
        bool,
        typer.Option(
            "--all-revisions",
            help="What older revisions of a call consist of, too, and not their manifests alone.",
        ),
    ] = False,
    reason: asked.Reason = None,
    as_json: AsJson = False,
) -> None:
    from legato.clock import SystemClock
    from legato.retrieval.export.choose import ExportRequest
    from legato.retrieval.export.export import export
    from legato.retrieval.export.split import parsed_size

    place: Place = context.obj
    with speaking("interrupted; the same command goes on where this ended"):
        wanted = ExportRequest(
            case=case,
            reason=reason or "",
            query=query,
            all_revisions=all_revisions,
            max_size=parsed_size(max_size),
            at=SystemClock().now(),
        )
        rows = asked.chosen(place.catalogue(), calls, query)
        done = []
        own = own_key(place)
        with _telling() as tell:
            ports = place.exporting(known=[own] if own else [], tell=tell)
            try:
                for package in export(rows, wanted, folder, ports):
                    done.append(package)
                    if not as_json:
                        _show(package)
            except Retry as error:
                raise Failed(f"{in_short(error)}: run the same command again") from error
    if as_json:
        write_json({"packages": [*map(_to_json, done)]})


def _show(package: Package) -> None:
    from legato.format import counted, volume

    many = counted(package.calls, "call")
    there = "" if package.new else ", was there already"
    say(str(package.folder))
    say(
        f"legato: {package.folder.name}: {many}, {volume(package.size)}{there}; open "
        f"data/index.html; SHA-256 of manifest-sha256.txt: {package.manifest_sha256}",
        err=True,
    )
    for key in package.unchained:
        say(f"legato: no digest names {key} yet: nothing proves it", err=True)


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
