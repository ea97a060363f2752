"""What a stack is configured to do, which a deployment writes into one parameter of SSM.

A deployment may change that parameter and no function. So a process that goes on looks at it once
a minute, and what was made of the old configuration is made anew.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from legato.aws.parameter import parameter
from legato.config import BadSettings, configuration
from legato.errors import LegatoError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

PARAMETER = "LEGATO_CONFIG"
"""The variable with the parameter's name."""
OWN = {"LEGATO_RINGEX_WEBHOOK_URL": "RingexWebhookUrl", "LEGATO_SIGNING_KEY": "SigningKey"}
"""What one function is told in its environment. The API and the key know who may use them, so that
the document that all functions read cannot know the API and the key."""
LOOK_EVERY_SECONDS = 60


@dataclass(slots=True)
class _Known:
    document: str = ""
    looked_at: float = float("-inf")


_known = _Known()


def function_configuration(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a function is configured to do. Raises BadSettings, Retry."""
    own = {name: environment[variable] for variable, name in OWN.items() if variable in environment}
    return configuration(_document(environment)) | own


def read_configuration(name: str) -> dict[str, str]:
    """Return what the parameter of this name says. Raises BadSettings, Retry."""
    return configuration(parameter(name))


def once_configured[**P, T](make: Callable[P, T]) -> Callable[P, T]:
    """Keep what is made, by its arguments, for as long as the configuration stays the same."""
    made: dict[Any, tuple[str, T]] = {}

    @wraps(make)
    def kept(*arguments: P.args, **named: P.kwargs) -> T:
        document = _document(os.environ)
        if arguments not in made or made[arguments][0] != document:
            made[arguments] = document, make(*arguments, **named)
        return made[arguments][1]

    return kept


def _document(environment: Mapping[str, str]) -> str:
    """Return the document. While it cannot be read again, it stays as it was."""
    name, now = environment.get(PARAMETER), time.monotonic()
    if not name:
        raise BadSettings(f"{PARAMETER} is not set")
    if now - _known.looked_at >= LOOK_EVERY_SECONDS:
        try:
            _known.document = parameter(name)
        except LegatoError as error:
            if not _known.document:
                raise
            log.warning("the configuration cannot be read again", extra={"reason": str(error)})
        _known.looked_at = now
    return _known.document
