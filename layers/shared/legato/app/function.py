"""The App of a Lambda function, by the document that a deployment writes into one SSM parameter.

A deployment may change that parameter and no function. So a process that goes on looks at it once
a minute, and what was made of the old configuration is made anew.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field

from legato.app.root import App
from legato.aws.parameter import parameter
from legato.config import OWN, configuration
from legato.errors import LegatoError
from legato.settings import BadSettings

log = logging.getLogger(__name__)

PARAMETER = "LEGATO_CONFIG"
"""The variable with the parameter's name."""
LOOK_EVERY_SECONDS = 60


@dataclass(slots=True)
class _Known:
    document: str = ""
    looked_at: float = float("-inf")
    apps: dict[str, App] = field(default_factory=dict)
    """The one that was made, by the document that it was made of."""


_known = _Known()


def app() -> App:
    """Return what this process works with: the same for as long as the configuration stays.

    Raises BadSettings, and Retry if the configuration cannot be read.
    """
    document = _document()
    if document not in _known.apps:
        own = {
            name: os.environ[variable] for variable, name in OWN.items() if variable in os.environ
        }
        _known.apps = {document: App(configuration(document, own))}
    return _known.apps[document]


def _document() -> str:
    """Return the document. While it cannot be read again, it stays as it was."""
    name, now = os.environ.get(PARAMETER), time.monotonic()
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
