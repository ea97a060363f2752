"""The exit codes of the command."""

from __future__ import annotations

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."
