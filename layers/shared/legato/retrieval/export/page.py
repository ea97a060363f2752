"""A package as one page: a list of calls, each with its waveform and a player.

One file that loads nothing but the audio beside it, and may run nothing but the script in it: its
hash is in the policy. Callers choose their names, so every text is escaped here or is text content
in page.js, which makes the rows of the list from the JSON in the page, as they are needed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from legato.format import counted
from legato.model import format_time, provider_name
from legato.printable import html_address, html_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from legato.model import Json
    from legato.retrieval.export.call_summary import CallSummary

_HERE = Path(__file__).parent


def to_html(
    cards: Sequence[CallSummary],
    custody: Json,
    *,
    name: str,
    unchained: Sequence[str],
    zone: str = "UTC",
) -> bytes:
    """Return the page of a package, in UTF-8. Its addresses are relative to it.

    Times are shown in the `zone`, an IANA name, until the reader chooses another.
    """
    parts = {
        "policy": _policy(),
        "style": _read("page.css"),
        "script": _read("page.js"),
        "name": html_text(custody["name"]),
        "lead": html_text(_lead(cards, custody)),
        "unproven": _unproven(cards, custody, unchained),
        "facts": "".join(_facts(cards, custody)),
        "proof": "\n".join(_proof(name, unchained)),
        "custody": "\n".join(_custody(custody)),
        "version": html_text(custody["legato_version"]),
        "data": _data(cards, zone),
    }
    return Template(_read("page.html")).substitute(parts).encode()


def _policy() -> str:
    """Allow nothing from anywhere but sound from beside the page, or from a file that is chosen."""
    # A page that is opened as a file is of no origin, and what lies beside it is not `self`.
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash('page.js')}'",
            f"style-src '{_hash('page.css')}'",
            "media-src 'self' file: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(name: str) -> str:
    digest = hashlib.sha256(_read(name).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _data(cards: Sequence[CallSummary], zone: str) -> str:
    """Return what page.js shows, as JSON that ends no script and starts no comment."""
    said = {"zone": zone, "calls": [*map(_call, cards)]}
    text = json.dumps(_shown(said), ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _shown(said: Any) -> Any:
    """Make every text of a document printable."""
    match said:
        case str():
            return printable(said)
        case dict():
            return {name: _shown(value) for name, value in said.items()}
        case list():
            return [*map(_shown, said)]
        case _:
            return said


def _call(card: CallSummary) -> Json:
    return {
        "provider": card.provider,
        "providerName": provider_name(card.provider),
        "account": card.account,
        "call": card.call,
        "revision": card.revision,
        "at": _milliseconds(card.started_at),
        "ms": card.duration_ms,
        "direction": card.direction,
        "how": card.how,
        "channels": card.channels,
        "peaks": card.peaks,
        "parties": list(card.parties),
        "persons": list(dict.fromkeys([*card.names, *card.agents])),
        "legs": [
            {
                "id": leg.id,
                "at": _milliseconds(leg.started_at),
                "ms": leg.duration_ms,
                "offset": leg.offset_ms,
                "gap": leg.gap_ms,
                "href": html_address(leg.key),
                "sha256": leg.sha256,
                "who": leg.who,
                "heardIn": leg.heard_in,
            }
            for leg in card.legs
        ],
        "missing": [[leg["leg"], leg["reason"]] for leg in card.missing],
        "plays": _file(card.file, card.sha256) if card.file else None,
        "manifest": _file(card.manifest, card.manifest_sha256),
        "digest": _file(card.digest) if card.digest else None,
        "cases": list(card.cases),
    }


def _file(name: str, sha256: str = "") -> Json:
    return {"href": html_address(name), "name": name, "sha256": sha256}


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _lead(cards: Sequence[CallSummary], custody: Json) -> str:
    part = f", part {custody['part']} of {custody['parts']}" if custody["parts"] > 1 else ""
    return f"{counted(len(cards), 'call')}{part}"


def _unproven(cards: Sequence[CallSummary], custody: Json, unchained: Sequence[str]) -> str:
    """Say first what the package does not prove."""
    if not unchained:
        return ""
    calls = sum(card.digest is None for card in cards)
    what = (
        f"{calls} of {counted(len(cards), 'call')}" if calls else counted(len(unchained), "record")
    )
    search = " Search for <q>not proven</q> to list them." if calls else ""
    return (
        f'<p class="notice"><strong>Not proven yet: {html_text(what)}.</strong> No signed digest '
        f"named them when this was exported, {_time(custody['exported_at'])}. Digests are written "
        "every hour. For a proven package, export again into another folder two hours "
        f"later.{search}</p>"
    )


def _facts(cards: Sequence[CallSummary], custody: Json) -> Iterable[str]:
    first, last = (format_time(end(card.started_at for card in cards)) for end in (min, max))
    between = _time(first) if first == last else f"{_time(first)} to {_time(last)}"
    by = custody["exported_by"]
    yield _fact("Calls began", between)
    yield _fact("Exported", _time(custody["exported_at"]))
    yield _fact("Exported by", html_text(by.rpartition("/")[2] or by))
    yield _fact("Reason", html_text(custody["reason"] or "not given"))
    if custody["query"]:
        yield _fact("Searched for", html_text(custody["query"]))


def _fact(name: str, shown: str) -> str:
    return f"<div><dt>{name}</dt><dd>{shown}</dd></div>"


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
        yield '<details class="plain"><summary class="bad">No digest named '
        yield f"{counted(len(unchained), 'document')} yet when they were exported</summary><ul>"
        for key in unchained:
            yield f'<li class="id">{html_text(key)}</li>'
        yield "</ul></details>"


def _custody(custody: Json) -> Iterable[str]:
    yield "<h2>Custody</h2>"
    yield (
        f'<p>Exported by <span class="id">{html_text(custody["exported_by"])}</span> at '
        f"{_time(custody['exported_at'])} as {html_text(custody['name'])}, "
        "recorded before anything was read as:</p><ul>"
    )
    for key in custody["access_records"]:
        yield f'<li class="id">{html_text(key)}</li>'
    yield "</ul>"
    if custody["accesses"]:
        yield "<h3>Who had to do with these calls</h3>"
        rows = (
            (
                _time(each["at"]),
                html_text(each["by"].rpartition("/")[2] or each["by"]),
                *(html_text(each[name] or "") for name in ("action", "case", "reason")),
            )
            for each in custody["accesses"]
        )
        yield from _table(("When", "Who", "What", "Case", "Why"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Yield a table of cells that are HTML."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    yield '<div class="wide" tabindex="0" role="group" aria-label="Table"><table>'
    yield f"<thead><tr>{titles}</tr></thead><tbody>"
    for row in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in row)
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def _time(text: str) -> str:
    """Write a time of a document for people: page.js shows it in the reader's zone."""
    shown = f"{text[:19].replace('T', ' ')} UTC"
    return f'<time datetime="{html_text(text)}">{html_text(shown)}</time>'
