"""`legato get`: fetch calls from the archive into a folder, verified, and play them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.cold import ColdCalls, cold_named, readable
from legato.cli.command import command
from legato.cli.exit_codes import Exit, exit_of
from legato.cli.options import AsJson, Out, Reason, Yes
from legato.cli.output import end, in_short, say, write_json
from legato.cli.select import Selection, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.cli.context import Stack
    from legato.model import Json
    from legato.retrieval.get import Got, Plan

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "get",
    help="""Download calls from the archive into a folder, and verify every byte.

    Each call becomes one file, named by its time, direction, number and id, and its path is
    printed. Legs that are stored apart are joined here with ffmpeg, and the SHA-256 of the result
    is written beside it. Bytes that do not have the sealed SHA-256 are not kept. If the command is
    interrupted, the same command resumes the download.

    If a call is in cold storage, nothing is downloaded, and the message names the calls to restore.
    --skip-cold leaves them out. --restore requests them at a price that is shown first; without
    --skip-cold nothing is downloaded until the same command runs again.

    \b
    Examples:
      legato get ringex/401555000/s-a0b1c2d3e4f5 --reason "subpoena 4711"
      legato get s-a0b1c2d3e4f5 --legs --manifest --out evidence --reason "subpoena 4711"
      legato get --number +15551230000 --from 2026-11-01 --out calls --reason "complaint"
      legato find --case 2026-117 --all --csv | legato get - --skip-cold --reason "audit"
      legato get s-a0b1c2d3e4f5 --play --reason "quality"
    """,
    ends=(Exit.COLD, Exit.NOT_FOUND, Exit.TAMPERED),
    interrupted="interrupted: the same command resumes the download",
)
def get_calls(
    context: typer.Context,
    selection: Selection,
    cold: ColdCalls,
    out: Out = Path(),
    legs: Annotated[
        bool, typer.Option("--legs", help="Each leg as the provider sent it, not one recording.")
    ] = False,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Also the manifest, as it was sealed.")
    ] = False,
    play: Annotated[bool, typer.Option("--play", help="Play the recordings afterwards.")] = False,
    player: Annotated[
        str | None,
        typer.Option(
            envvar="LEGATO_PLAYER",
            metavar="COMMAND",
            help="Program for --play; otherwise ffplay, mpv, or the system's own.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace other files of the same name.")
    ] = False,
    yes: Yes = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    from legato.cli.progress import Meter
    from legato.retrieval.download import Downloading
    from legato.retrieval.get import get, plan

    stack: Stack = context.obj
    details = {"legs": legs, "manifest": manifest}
    calls = opened(
        stack,
        selection,
        "get",
        reason=reason,
        details=details,
        narrowed=partial(readable, stack=stack, cold=cold, reason=reason, yes=yes, err=as_json),
    )
    with Meter() as meter:
        work = Downloading(
            library=calls.library,
            stitcher=stack.stitcher,
            overwrite=overwrite,
            tell=meter.tell,
        )
        with cold_named():
            planned = plan(calls.rows, out, work, legs=legs, manifests=manifest)
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
    errors = [got.error for got in done if got.error is not None]
    if errors:
        end(f"{len(errors)} of {len(done)} files could not be downloaded", exit_of(*errors))


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
