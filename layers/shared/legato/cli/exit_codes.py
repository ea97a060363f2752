"""How a command ends: a code for each kind of failure, and the one place that maps errors to them.

Scripts decide by these codes, so a number never gets another meaning.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from legato.archive.library import Cold
from legato.errors import (
    Barred,
    Conflict,
    LegatoError,
    NoStack,
    NotFound,
    NotPermitted,
    NotYet,
    Refused,
    Retry,
    Stale,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    NEEDS_PERSON = 3
    COLD = 4
    NOT_FOUND = 5
    TAMPERED = 6
    NOT_PERMITTED = 7
    UNAVAILABLE = 8
    NO_STACK = 9
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "not done, for a reason that no other code has",
    Exit.WRONG_USAGE: "wrong usage: an option, a value or a combination",
    Exit.NEEDS_PERSON: "something needs a person",
    Exit.COLD: "in cold storage: run `legato restore` first",
    Exit.NOT_FOUND: "no call matches",
    Exit.TAMPERED: "the archive does not hold what was sealed",
    Exit.NOT_PERMITTED: "AWS refuses: log in, or get the permission",
    Exit.UNAVAILABLE: "AWS or the network does not answer: try again later",
    Exit.NO_STACK: "no such stack, or one of another version",
    Exit.INTERRUPTED: "interrupted",
    Exit.PIPE_CLOSED: "the reader of the output ended first",
}
COMMON = frozenset(Exit) - {Exit.NEEDS_PERSON, Exit.COLD, Exit.NOT_FOUND, Exit.TAMPERED}
"""What every command that asks AWS may end with."""
_KINDS: tuple[tuple[tuple[type[LegatoError], ...], Exit], ...] = (
    ((NotPermitted,), Exit.NOT_PERMITTED),
    ((NoStack,), Exit.NO_STACK),
    ((Conflict,), Exit.TAMPERED),
    ((Cold,), Exit.COLD),
    ((NotFound,), Exit.NOT_FOUND),
    ((Barred,), Exit.NEEDS_PERSON),
    ((Retry, Wait, NotYet, Stale), Exit.UNAVAILABLE),
    ((Refused,), Exit.WRONG_USAGE),
)
"""The most telling kind comes first."""


def exit_of(*errors: LegatoError) -> Exit:
    """Return the code for errors and what caused them: that of the most telling kind among them."""
    chain = [each for error in errors for each in _causes(understood(error))]
    for kinds, code in _KINDS:
        if any(isinstance(each, kinds) for each in chain):
            return code
    return Exit.FAILED


def understood(error: LegatoError) -> LegatoError:
    """Return an error, or what a person has to do before AWS answers if AWS is its cause."""
    if error.__cause__ is None:
        return error
    from legato.aws.refusals import passing, refusal

    return refusal(error) or passing(error) or error


def listed(codes: Iterable[Exit]) -> str:
    """Write a paragraph of a help text that lists these codes with their meanings."""
    lines = (f"  {code:>3}  {MEANINGS[code]}" for code in sorted(codes))
    return "\n".join(["\b", "Exit codes:", *lines])


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
