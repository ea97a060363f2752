"""Every error that Legato raises on purpose, split by what the caller does about it.

LegatoError
├── Refused          the input is wrong and stays wrong: answer 4xx, or bury the job with the reason
│   └── NotFound     what is named does not exist
├── Wait             it is not our turn yet: come back after `seconds`, at no attempt
│   ├── Limited      the provider itself answered 429; a recording that always does is at fault
│   └── Barred       the provider refuses our credentials: nothing is lost, but a person must act
├── Denied           the provider refuses one recording, not us: that recording's own failure
├── NotYet           the provider does not have it yet: take the next step of the ladder
├── Retry            it may work when repeated: spend an attempt
│   ├── Unavailable  AWS does not answer: nobody's failure, so it spends none
│   ├── ShortAudio   whole by itself, and shorter than the provider says it is
│   ├── NotAudio     what came is no audio at all: an error page, nothing, an unknown format
│   └── DamagedAudio audio, but not whole: kept as evidence, never joined
├── Failed           it will not work: the call fails, and somebody is told
│   ├── TooLarge     over a limit of the configuration
│   ├── Conflict     an archived object is gone, or has other bytes under the same key
│   ├── NotPermitted AWS refuses the person at the command: log in, or be granted the action
│   └── NoStack      no stack of this version is there to be asked
└── Stale            somebody else changed the ledger's entry in between: read it again
"""


class LegatoError(Exception):
    """Base of all."""


class Refused(LegatoError):
    """The input is wrong, and repeating it is no use."""


class NotFound(Refused):
    """Nothing has the name that was given."""


class Wait(LegatoError):
    """Not now. `seconds` says how long until it is worth asking again.

    `turn` says that this moment was promised to us, before all who ask later.
    """

    def __init__(self, reason: str, *, seconds: float, turn: bool = False) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.turn = turn


class Limited(Wait):
    """The provider's limit is reached, by its own word. Others wait; nobody has failed."""


class Barred(Wait):
    """The provider refuses us: credentials missing, revoked, or lacking a permission."""


class Denied(LegatoError):
    """The provider refuses one recording to credentials that it accepts for others."""


class NotYet(LegatoError):
    """The provider does not have it yet."""


class Retry(LegatoError):
    """A passing fault: a broken connection, a 5xx, a body cut short."""


class Unavailable(Retry):
    """AWS itself failed: its fault says nothing of a recording or a provider."""


class ShortAudio(Retry):
    """Audio that decodes to its end, which comes too early."""


class NotAudio(Retry):
    """What came is no audio. Often an error page behind a 200, so it is worth asking again."""


class DamagedAudio(Retry):
    """The bytes are audio but cannot be decoded to their end. `extension` is `mp3` or `wav`."""

    def __init__(self, reason: str, *, extension: str) -> None:
        super().__init__(reason)
        self.extension = extension


class Failed(LegatoError):
    """Final for this call until a person acts."""


class TooLarge(Failed):
    """A leg or a joined recording is over a limit of the configuration."""


class Conflict(Failed):
    """A key of the archive holds other bytes than it should, or nothing any more."""


class NotPermitted(Failed):
    """AWS does not accept the credentials, or does not permit the action."""


class NoStack(Failed):
    """There is no such stack, or another version of Legato deployed it."""


class Stale(LegatoError):
    """The ledger's entry was changed since it was read."""
