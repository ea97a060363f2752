"""A package as one page: a list of calls, each with its picture and a player.

One file that loads nothing but the audio beside it, and may run nothing but the script in it: its
hash is in the policy. Callers choose their names, so every text is escaped, or text content.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from legato.format import counted
from legato.model import provider_name
from legato.printable import html_address, html_text
from legato.retrieval.export.call_summary import digits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from legato.model import Json
    from legato.retrieval.export.call_summary import CallSummary, LegSummary

OPEN = 3
"""So many calls are open from the beginning."""
_HERE = Path(__file__).parent
_WAYS = {"inbound": "↓ inbound", "outbound": "↑ outbound"}
_ROLES = {"from": "From", "to": "To", "contact": "Contact", "channel": "Channel", "agent": "Agent"}
_HOW = {
    "single": "The recording is the one leg, as the provider sent it.",
    "copy": "The recording holds every encoded frame of the legs, unchanged.",
    "transcode": "The legs differ in format, so the recording was decoded to PCM.",
    "apart": "The legs are kept apart in the archive. They were joined for this package to be "
    "listened to; the legs themselves are the evidence.",
    "unjoined": "The legs cannot be joined, since one has a codec that is not supported. Each "
    "is as the provider sent it.",
}


def to_html(
    cards: Sequence[CallSummary], custody: Json, *, name: str, unchained: Sequence[str]
) -> bytes:
    """Return the page of a package, in UTF-8. Its addresses are relative to it."""
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>Call recordings, {html_text(custody['name'])}</title>",
        f"<style>{_read('page.css')}</style>",
        "</head>",
        "<body>",
        *_head(cards, custody),
        *_tools(),
        '<main aria-label="Calls">',
        *(line for at, card in enumerate(cards, 1) for line in _call(at, card, len(cards))),
        "</main>",
        *_proof(name, unchained),
        *_custody(custody),
        *_foot(custody),
        f"<script>{_read('page.js')}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts).encode() + b"\n"


def clock(milliseconds: float) -> str:
    """Write a length as a clock shows it."""
    seconds = round(milliseconds / 1000)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def _policy() -> str:
    """Allow nothing from anywhere but sound from beside the page."""
    # A page that is opened as a file is of no origin, and what lies beside it is not `self`.
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash('page.js')}'",
            f"style-src '{_hash('page.css')}'",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(name: str) -> str:
    digest = hashlib.sha256(_read(name).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _head(cards: Sequence[CallSummary], custody: Json) -> Iterable[str]:
    many = counted(len(cards), "call")
    part = f", part {custody['part']} of {custody['parts']}" if custody["parts"] > 1 else ""
    yield "<header>"
    yield f"<h1>Call recordings: {html_text(custody['name'])}</h1>"
    yield f'<p class="lead">{html_text(many + part)}. All times are in UTC.</p>'
    facts = [
        ("Recorded", _span(cards)),
        ("Duration, together", clock(sum(card.duration_ms for card in cards))),
        ("Exported", _stamp(custody["exported_at"])),
        ("Exported by", custody["exported_by"].rpartition("/")[2] or custody["exported_by"]),
        ("Reason", custody["reason"] or "not given"),
    ]
    if custody["query"]:
        facts.append(("Searched for", custody["query"]))
    yield '<dl class="facts">'
    for name, value in facts:
        yield f"<div><dt>{html_text(name)}</dt><dd>{html_text(value)}</dd></div>"
    yield "</dl></header>"


def _tools() -> Iterable[str]:
    yield '<div class="tools" role="search">'
    yield (
        '<input id="search" type="search" placeholder="Search: name, number, id, agent" '
        'aria-label="Search calls" autocomplete="off" spellcheck="false">'
    )
    yield '<span id="count" class="soft" role="status"></span>'
    yield '<button type="button" id="open">Open all</button>'
    yield '<button type="button" id="close">Close all</button>'
    yield "</div>"


def _call(at: int, card: CallSummary, calls: int) -> Iterable[str]:
    opened = " open" if calls <= OPEN else ""
    digits = html_text(digits_of(card.numbers))
    yield f'<article id="call-{at}" data-digits="{digits}"><details{opened}>'
    yield "<summary>"
    yield f'<span class="when">{_moment(card.started_at)}</span>'
    way = _WAYS.get(card.direction or "", card.direction or "")
    yield f'<span class="way">{html_text(way)}</span>'
    yield f'<span class="who">{_who(card)}</span>'
    legs = f'<span class="chip">{len(card.legs)} legs</span>' if len(card.legs) > 1 else ""
    provider = html_text(provider_name(card.provider))
    yield (
        f'<span class="long">{clock(card.duration_ms)}{legs}<span class="chip">{provider}</span>'
        "</span></summary>"
    )
    yield '<div class="inside">'
    yield from _player(card)
    yield from _parties(card)
    yield from _legs(card)
    yield from _missing(card)
    yield from _seal(card)
    yield "</div></details></article>"


def _who(card: CallSummary) -> str:
    """Name both sides, as far as they are known."""
    first = _sides(card, ("from", "contact"))
    last = _sides(card, ("to", "agent", "channel"))
    arrow = ' <span class="soft">→</span> ' if first and last else ""
    return f"{first}{arrow}{last}" or f'<span class="id">{html_text(card.call)}</span>'


def _sides(card: CallSummary, roles: Sequence[str]) -> str:
    for role in roles:
        for party in card.parties:
            said = [party["name"], party["number"] or party["extension"] or party["agent"]]
            known = [text for text in said if text]
            if party["role"] == role and known:
                number = f' <span class="soft">{html_text(known[1])}</span>' if known[1:] else ""
                return f"{html_text(known[0])}{number}"
    return ""


def _player(card: CallSummary) -> Iterable[str]:
    if not card.file:
        return
    source, marked = html_address(card.file), " marked" if len(card.legs) > 1 else ""
    yield f'<audio controls preload="none" src="{source}"></audio>'
    yield '<div class="player">'
    yield (
        f'<div class="wave{marked}" tabindex="0" role="slider" '
        'aria-label="Position in the recording" '
        f'aria-valuemin="0" aria-valuemax="{card.duration_ms // 1000}" aria-valuenow="0">'
    )
    peaks, milliseconds = html_text(card.peaks), html_text(card.duration_ms)
    yield f'<canvas data-peaks="{peaks}" data-ms="{milliseconds}"></canvas>'
    if len(card.legs) > 1:
        for number, leg in enumerate(card.legs, 1):
            title = f"Leg {number} begins at {clock(leg.offset_ms)}"
            yield (
                f'<button type="button" class="marker" data-ms="{html_text(leg.offset_ms)}" '
                f'title="{title}" aria-label="{title}"><span>{number}</span></button>'
            )
    yield "</div>"
    yield '<div class="buttons">'
    yield '<button type="button" class="play">Play</button>'
    for seconds, word in ((-10, "\N{MINUS SIGN}10 s"), (10, "+10 s")):
        yield f'<button type="button" data-by="{seconds}">{word}</button>'
    yield '<span class="time"></span>'
    yield "</div>"
    yield '<p class="trouble" role="alert"></p></div>'


def _parties(card: CallSummary) -> Iterable[str]:
    if not card.parties:
        return
    yield "<h3>Parties</h3>"
    columns = ("name", "number", "extension", "agent")
    known = [name for name in columns if any(party[name] for party in card.parties)]
    rows = (
        [_ROLES[party["role"]], *(str(party[name] or "") for name in known)]
        for party in card.parties
    )
    yield from _table(("Role", *map(str.capitalize, known)), rows)


def _legs(card: CallSummary) -> Iterable[str]:
    yield f"<h3>{'Legs' if len(card.legs) > 1 else 'Leg'}</h3>"
    yield '<div class="wide"><table><thead><tr>'
    named = any(leg.who for leg in card.legs)
    yield '<th></th><th>Began</th><th class="n">Duration</th>'
    yield "<th>After the one before</th>" if len(card.legs) > 1 else ""
    yield "<th>Who</th>" if named else ""
    yield "<th>Recording</th><th>SHA-256</th>"
    yield "</tr></thead><tbody>"
    for number, leg in enumerate(card.legs, 1):
        seek = (
            f'<button type="button" data-ms="{html_text(leg.offset_ms)}" '
            f'title="Play from {clock(leg.offset_ms)}">{number}</button>'
        )
        yield (
            f'<tr><td>{seek}</td><td class="t">{_moment(leg.started_at)}</td>'
            f'<td class="n">{clock(leg.duration_ms)}</td>'
            + (f"<td>{_gap(leg)}</td>" if len(card.legs) > 1 else "")
            + (f"<td>{html_text(leg.who)}</td>" if named else "")
            + f'<td class="id"><a href="{html_address(leg.key)}">{html_text(leg.id)}</a></td>'
            f'<td class="id hash">{html_text(leg.sha256)}</td></tr>'
        )
    yield "</tbody></table></div>"


def _gap(leg: LegSummary) -> str:
    """Say how far apart two legs are in time; they play one after the other all the same."""
    if leg.heard_in is not None:
        return f"heard in leg {leg.heard_in}"
    if leg.gap_ms is None:
        return ""
    seconds = abs(leg.gap_ms) / 1000
    if seconds < 0.05:
        return "at once"
    if leg.gap_ms < 0:
        return f'<span class="bad">overlaps by {seconds:,.1f} s</span>'
    return f"gap of {seconds:,.1f} s"


def _missing(card: CallSummary) -> Iterable[str]:
    if not card.missing:
        return
    yield '<h3 class="bad">Not among the legs</h3>'
    rows = ((leg["leg"], leg["reason"]) for leg in card.missing)
    yield from _table(("Recording", "Why"), rows)


def _seal(card: CallSummary) -> Iterable[str]:
    digest = (
        f'<a href="{html_address(card.digest)}">{html_text(card.digest)}</a>'
        if card.digest
        else '<span class="bad">no digest named it yet when it was exported</span>'
    )
    facts = [
        ("Call", f'<span class="id">{html_text(card.call)}</span>'),
        ("Account", f'<span class="id">{html_text(card.account)}</span>'),
        *(
            (
                ("Plays", f'<a class="id" href="{html_address(card.file)}">{file}</a>'),
                ("Its SHA-256", f'<span class="id">{html_text(card.sha256)}</span>'),
            )
            if (file := html_text(card.file))
            else ()
        ),
        (
            f"Manifest, revision {card.revision}",
            f'<a class="id" href="{html_address(card.manifest)}">{html_text(card.manifest)}</a>',
        ),
        ("Its SHA-256", f'<span class="id">{html_text(card.manifest_sha256)}</span>'),
        ("Named by", f'<span class="id">{digest}</span>'),
    ]
    if card.cases:
        facts.append(("Held for", html_text(", ".join(card.cases))))
    yield "<h3>Seal</h3>"
    yield '<dl class="seal">'
    for name, value in facts:
        yield f"<dt>{html_text(name)}</dt><dd>{value}</dd>"
    yield "</dl>"
    yield f'<p class="soft">{_HOW[card.how]}</p>'


def _proof(name: str, unchained: Sequence[str]) -> Iterable[str]:
    yield "<h2>How to prove it</h2>"
    yield (
        "<p>Every recording is named, with its SHA-256, by the manifest of its call. Every "
        "manifest is named by a digest, and every digest is signed. In the folder that holds this "
        "package:</p>"
    )
    package = html_text(name)
    yield (
        f"<pre><code>(cd {package} &amp;&amp; sha256sum --check --quiet manifest-sha256.txt)\n"
        f"legato verify {package} --deep --key legato.pem</code></pre>"
    )
    yield (
        "<p>The first says that nothing was damaged on the way, the second that the recordings are "
        "those that were sealed. Neither says that these are all calls that there were: the "
        "archive's access log has the list of what was asked for, and the SHA-256 of this "
        "package's <code>manifest-sha256.txt</code>.</p>"
    )
    if unchained:
        yield '<p class="bad">No digest named these yet when they were exported:</p><ul>'
        for key in unchained:
            yield f'<li class="id">{html_text(key)}</li>'
        yield "</ul>"


def _custody(custody: Json) -> Iterable[str]:
    yield "<h2>Custody</h2>"
    yield (
        f'<p>Exported by <span class="id">{html_text(custody["exported_by"])}</span> at '
        f"{html_text(_stamp(custody['exported_at']))} as {html_text(custody['name'])}, "
        "recorded before anything was read as:</p><ul>"
    )
    for key in custody["access_records"]:
        yield f'<li class="id">{html_text(key)}</li>'
    yield "</ul>"
    if custody["accesses"]:
        yield "<h3>Who had to do with these calls</h3>"
        rows = (
            (
                _stamp(each["at"]),
                each["by"].rpartition("/")[2] or each["by"],
                each["action"],
                each["case"],
                each["reason"],
            )
            for each in custody["accesses"]
        )
        yield from _table(("When", "Who", "What", "Case", "Why"), rows)


def _foot(custody: Json) -> Iterable[str]:
    yield (
        "<footer><p>Keys: <kbd>/</kbd> search, <kbd>Tab</kbd> to a recording, then "
        "<kbd>Space</kbd> play or pause, <kbd>←</kbd> <kbd>→</kbd> 5 s, <kbd>J</kbd> "
        "<kbd>L</kbd> 10 s, <kbd>Home</kbd> <kbd>End</kbd>.</p>"
        f"<p>Made by Legato {html_text(custody['legato_version'])}. This page loads nothing from "
        "anywhere but this folder.</p></footer>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Yield a table of texts, which are escaped here."""
    titles = "".join(f"<th>{html_text(title)}</th>" for title in head)
    yield f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>'
    for row in rows:
        cells = "".join(f"<td>{html_text(text)}</td>" for text in row)
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def _span(cards: Sequence[CallSummary]) -> str:
    days = sorted({f"{card.started_at:%Y-%m-%d}" for card in cards})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _stamp(text: str) -> str:
    """Write a time of a document for people."""
    return text[:19].replace("T", " ")
