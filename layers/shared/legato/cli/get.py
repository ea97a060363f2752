"""`legato get`: fetch calls from the archive into a folder, verified, and play them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli import query as asked
from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.options import AsJson
from legato.cli.output import end, in_short, say, speaking, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.cli.context import Place
    from legato.model import Json
    from legato.retrieval.get import Got, Plan

app = typer.Typer(rich_markup_mode=None)


@app.command(
    name="get",
    help=f"""Fetch calls from the archive into a folder, and prove every byte of them.

    A call becomes one file, named by its time, direction, number and id. The legs of a call that
    lie apart are joined here, which takes ffmpeg, and the SHA-256 of what comes of it is put beside
    it. What does not have the SHA-256 that was sealed gets no name. The same command goes on where
    it ended, and leaves alone what is there. Prints the path of each file.

    Calls in cold storage have to be restored before: then nothing is fetched, and it says which.

    \b
    Examples:
      legato get ringex/401555000/s-a0b1c2d3e4f5 --reason "subpoena 4711" --case 2026-117
      legato get s-a0b1c2d3e4f5 --legs --manifest --to evidence --reason "subpoena 4711"
      legato get --query "--number +15551230000 --from 2026-11-01" --to calls --reason "complaint"
      legato get s-a0b1c2d3e4f5 --play --reason "quality"

    {EXIT_CODES}
    """,
)
def command(
    context: typer.Context,
    calls: asked.Calls = None,
    query: asked.QueryText = None,
    folder: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="The folder; made if it is not there.")
    ] = Path(),
    legs: Annotated[
        bool, typer.Option("--legs", help="Each leg as the provider sent it, not one recording.")
    ] = False,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="The manifest too, as it was sealed.")
    ] = False,
    play: Annotated[bool, typer.Option("--play", help="Play what was fetched.")] = False,
    player: Annotated[
        str | None,
        typer.Option(
            envvar="LEGATO_PLAYER",
            metavar="COMMAND",
            help="What plays it; else ffplay, mpv, or what this system has.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that have the names of these.")
    ] = False,
    reason: asked.Reason = None,
    case: asked.Case = None,
    as_json: AsJson = False,
) -> None:
    from legato.cli.progress import Meter
    from legato.retrieval.download import Downloading
    from legato.retrieval.get import get, plan

    place: Place = context.obj
    with speaking("interrupted; the same command goes on where this ended"):
        rows = asked.chosen(place.catalogue(), calls, query)
        place.recorder().record(
            "get",
            [row.id for row in rows],
            reason=reason,
            case=case,
            details={"legs": legs, "manifest": manifest},
        )
        with Meter() as meter:
            work = Downloading(
                library=place.library(),
                stitcher=place.stitcher,
                overwrite=overwrite,
                tell=meter.tell,
            )
            planned = plan(rows, folder, work, legs=legs, manifests=manifest)
            players = _players(planned, player) if play else []
            meter.begin(sum(file.size for file in planned.files if file.there is None))
            done = []
            for got in get(planned, work):
                done.append(got)
                if not as_json:
                    _show(got)
        if as_json:
            files = [_to_json(got) for got in done]
            write_json({"files": files})
        _play(players)
    lost = [got for got in done if got.error is not None]
    if lost:
        end(f"{len(lost)} of {len(done)} files could not be had", FAILED)


def _show(got: Got) -> None:
    if got.error is not None:
        say(f"legato: {got.row.id}: {in_short(got.error)}", err=True)
    elif got.file is not None:
        say(str(got.file.target))


def _to_json(got: Got) -> Json:
    said: Json = {**got.row.id._asdict()}
    if got.file is not None:
        said |= {"kind": got.file.kind, "leg": got.file.leg, "path": str(got.file.target)}
    if got.error is not None:
        return said | {"error": in_short(got.error)}
    target = Path(said["path"])
    fetched = got.file is not None and got.file.there is None
    return said | {"bytes": target.stat().st_size, "sha256": got.sha256, "fetched": fetched}


def _players(planned: Plan, chosen: str | None) -> list[list[str]]:
    """Return the commands that play all recordings. Raises Refused, Failed if there are none."""
    from legato.audio.play import player

    sounds = [file.target for file in planned.files if file.kind != "manifest"]
    return [player(target, chosen=chosen) for target in sounds]


def _play(players: Sequence[Sequence[str]]) -> None:
    from legato.audio.play import play
    from legato.cli.context import without_aws

    for one in players:
        if Path(one[-1]).exists():
            play(one, without_aws())
