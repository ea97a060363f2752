"""Telephone numbers in any notation, as the catalogue keeps them and as they are looked for."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from legato.errors import Refused

FEW, WHOLE = 4, 7
"""Digits: so many of the last ones are enough to ask for, and so many make a telephone number."""
LONGEST_COUNTRY = 3
"""Digits of a country's code."""
_NUMBER = re.compile(r"\+?[\d\s().\-/]+")
_SCHEME = re.compile(r"^(?:tel|sips?):", re.IGNORECASE)
_EXTENSION = re.compile(
    r"[\s,;]*(?:\b(?:ext(?:ension|n)?|dw|durchwahl)\b|(?<![a-z])x|#)[\s.:=]*(\d{1,8})\s*$",
    re.IGNORECASE,
)
_LEFT_OUT = re.compile(r"\s*(?:\u2026|\.{2,}|\*+)\s*")
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe63\uff0d]")
_INTERNATIONAL = re.compile(r"^(?:00|011)(?=[1-9]\d{7})")


@dataclass(frozen=True, slots=True)
class Number:
    """A telephone number that is looked for: its last digits, or all of them.

    `first` are digits that it begins with, of one whose middle is left out.
    """

    last: str
    first: str = ""
    extension: str | None = None

    def is_in(self, number: str) -> bool:
        """Say whether this may be one notation of a number: the longer one ends like the other."""
        other = digits(number)
        if len(self.last) < FEW:
            return self.last == other
        if not self.first:
            return other.endswith(self.last) or (len(other) >= WHOLE and self.last.endswith(other))
        rest = other.removesuffix(self.last)
        begins = range(LONGEST_COUNTRY + 1)
        return rest != other and any(rest.startswith(self.first, at) for at in begins)


def number_of(text: str) -> Number:
    """Read a number as a person writes it. Raises Refused for what is none.

    `(555) 123-0000 ext. 12` has an extension, and of `0151 … 6789` the middle is left out.
    """
    bare, extension = split_extension(text)
    first, *rest = _LEFT_OUT.split(bare, maxsplit=1)
    last = digits(rest[0] if rest and first else bare.strip(" .*\u2026"))
    if not last or (rest and first and (not digits(first) or len(last) < FEW)):
        raise Refused(
            f"{text!r} is not a telephone number: write its digits, or the last {FEW} or more; "
            "look for a name with --agent"
        )
    begins = digits(first).lstrip("0") if rest and first else ""
    return Number(last=last, first=begins, extension=extension)


def split_extension(text: str) -> tuple[str, str | None]:
    """Return a number without its extension, and that."""
    plain = _plain(text)
    found = _EXTENSION.search(plain)
    if found is None or not digits(plain[: found.start()]):
        return plain, None
    return plain[: found.start()], found[1]


def digits(number: str) -> str:
    """Return the digits of a telephone number in any notation, without what leads abroad.

    Nothing for what is no number. `+49 (0)89 12`, `0049 89 12` and `4989 12` are the same; a number
    of the own country has no country code here.
    """
    bare = _EXTENSION.sub("", re.sub(r"[;@].*$", "", _SCHEME.sub("", _plain(number))))
    if not _NUMBER.fullmatch(bare):
        return ""
    plain = re.sub(r"\D", "", bare.replace("(0)", ""))
    plain = plain if bare.startswith("+") else _INTERNATIONAL.sub("", plain)
    # Who asks for the last digits means these zeros.
    return plain.lstrip("0") if len(plain) > WHOLE else plain


def searched(plain: str) -> str:
    """Return the one list in which a number with these last digits is looked for."""
    wanted = next((each for each in (WHOLE, FEW) if len(plain) >= each), len(plain))
    return f"number#{plain[-wanted:]}"


def listed(plain: str) -> set[str]:
    """Return the lists of a number, one for each that `searched` may say."""
    return {searched(plain[-wanted:]) for wanted in (FEW, WHOLE)}


def _plain(text: str) -> str:
    """Return a text in ASCII's digits and dashes, without what is not seen in it.

    Address books put marks around a number that keep it from being written from right to left.
    """
    seen = (each for each in text if unicodedata.category(each) != "Cf")
    plain = (str(unicodedata.decimal(each, each)) for each in seen)
    return _DASHES.sub("-", "".join(plain)).replace("\uff0b", "+").strip()
