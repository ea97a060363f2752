"""Wait until calls can be read, for as many hours as it takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from legato.errors import Failed, Retry
from legato.retrieval.restore.note import correct, key_of
from legato.retrieval.restore.survey import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from legato.archive.library import State
    from legato.retrieval.restore.note import Piece
    from legato.retrieval.restore.survey import Restoring, Wanted

SLEEP = (1.0, 60.0)
"""Seconds between two looks, at first and in the end."""
BAD_LOOKS = 10
"""So many looks in a row may fail while somebody waits for hours."""

type _Coming = tuple[Wanted, Piece]


def wait(wanted: Sequence[Wanted], work: Restoring, tell: Callable[[int, int], None]) -> None:
    """Return when all of these calls can be read; `tell` how many objects can, of how many.

    S3 is asked at longer and longer intervals. Raises Failed if one is not on its way any more,
    and Retry if S3 does not answer for long.
    """
    total = sum(len(one.pieces) for one in wanted)
    left = [(one, piece) for one in wanted for piece in one.pieces if not piece.state.readable]
    pause, bad = SLEEP[0], 0
    while True:
        try:
            left, bad = _still_coming(left, work), 0
        except Retry:
            bad += 1
            if bad >= BAD_LOOKS:
                raise
        tell(total - len(left), total)
        if not left:
            return
        work.sleep(pause)
        pause = min(pause * 1.2, SLEEP[1])


def _still_coming(left: Sequence[_Coming], work: Restoring) -> list[_Coming]:
    """Return what cannot be read yet, after a look at S3. Raises Failed if it never will be."""

    def look(each: _Coming) -> State:
        return work.library.state(each[1].key, version_id=each[1].version_id)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = list(zip(left, pool.map(look, left), strict=True))
    _note(seen, work)
    coming = [(each, state) for each, state in seen if not state.readable]
    for (one, piece), state in coming:
        if not state.restoring:
            raise Failed(f"{piece.key} is not being restored: run `legato restore {one.row.id}`")
    return [each for each, _ in coming]


def _note(seen: Iterable[tuple[_Coming, State]], work: Restoring) -> None:
    """Note what can be read now, as its event would."""
    there: dict[str, dict[str, State | None]] = {}
    for (one, piece), state in seen:
        if state.restored_until is not None:
            there.setdefault(key_of(one.row.id), {})[piece.key] = state
    for key, states in there.items():
        correct(key, states, work.notes, work.clock)
