"""What a check has found: all is well, something is wrong, or it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from legato.model import Json


class State(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    `subject` names it, and `text` says in a sentence or two what was seen; neither holds a secret.
    `remedy` says what to do and where; it is empty if the state is ok.
    """

    subject: str
    state: State
    text: str
    remedy: str = ""

    def to_json(self) -> Json:
        """Return it as scripts read it."""
        return {
            "subject": self.subject,
            "state": str(self.state),
            "text": self.text,
            "remedy": self.remedy,
        }


def ok(subject: str, text: str) -> Finding:
    """Return what is as it should be."""
    return Finding(subject=subject, state=State.OK, text=text)


def wrong(subject: str, text: str, remedy: str) -> Finding:
    """Return what keeps calls from being archived, or will."""
    return Finding(subject=subject, state=State.WRONG, text=text, remedy=remedy)


def unknown(subject: str, text: str, remedy: str) -> Finding:
    """Return what could not be looked at, or what answered with something else than expected."""
    return Finding(subject=subject, state=State.UNKNOWN, text=text, remedy=remedy)
