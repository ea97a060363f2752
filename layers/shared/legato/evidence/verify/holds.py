"""The records of a call's legal holds, step by step: which cases hold it in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.model import person

if TYPE_CHECKING:
    from legato.model import Json


class Steps:
    """What holds a call after the steps that were `taken`. Whoever asked for a release is noted."""

    def __init__(self) -> None:
        self.cases: dict[str, str | None] = {}
        self._taken = 0
        self._at = ""

    def take(self, step: Json) -> str | None:
        """Take the next step; return why it cannot be that, or None."""
        problem = self._misfit(step)
        case, action = step["case"], step["action"]
        if action == "confirm-release":
            self.cases.pop(case, None)
        else:
            self.cases[case] = step["by"] if action == "request-release" else None
        self._taken, self._at = step["step"], step["at"]
        if problem is None and step["held_by"] != sorted(self.cases):
            return "it does not say which cases hold the call after it"
        return problem

    def _misfit(self, step: Json) -> str | None:
        case, action = step["case"], step["action"]
        if step["step"] != self._taken + 1:
            return f"it is step {step['step']}, after step {self._taken}"
        if step["at"] < self._at:
            return "it is older than the step before it"
        if (action == "hold") == (case in self.cases):
            return f"it is a step that cannot be taken then: {action}"
        asked_by = self.cases.get(case)
        if action != "hold" and (action == "request-release") == (asked_by is not None):
            return f"it is a step that cannot be taken then: {action}"
        if action == "confirm-release" and asked_by and person(asked_by) == person(step["by"]):
            return "who confirms the release has asked for it"
        return None
