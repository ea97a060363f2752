"""A reconciliation as one page that a person reads: no script, nothing from elsewhere."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from legato.model import format_time, provider_name
from legato.operations.report.reconciliation import FATES
from legato.printable import html_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from legato.operations.report.reconciliation import Day, Found, NotAsked, Reconciliation

SHOWN = 5000
"""So many rows a browser shows well. The JSON beside the page has all."""
STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; --good: #1b6e3c; --warn: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7bd89b; --warn: #ffc46b } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { line-height: 1.2; margin-bottom: 0 }
h2 { margin-top: 2.5rem }
.verdict { font-size: 1.25rem; font-weight: 600 }
.bad { color: var(--bad) } .good { color: var(--good) } .warn { color: var(--warn) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .75rem; border-bottom: 1px solid var(--line);
  vertical-align: top }
th { font-weight: 600 }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
td.id { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere;
  min-width: 9em }
td.time { white-space: nowrap }
tfoot td { font-weight: 600; border-bottom: 0 }
dl { display: grid; grid-template-columns: max-content auto; gap: .25rem 1.5rem }
dd { margin: 0 }
@media print { body { margin: 0; max-width: none } tr { break-inside: avoid } }
"""


def to_html(report: Reconciliation) -> bytes:
    """Return the page, in UTF-8."""
    span = f"{_day(report.begin)} to {_last_day(report)}"
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="date" content="{format_time(report.ended_at)}">',  # see archive/document.py
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Recordings reconciled, {span}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<h1>Recordings reconciled</h1>",
        f"<p>{span}, all times in UTC</p>",
        *_verdict(report),
        *_facts(report),
        *_not_asked(report.not_asked),
        *_days(report),
        *_recordings("Missing", report.missing, _MISSING),
        *_recordings("Failed", report.failed, _FAILED),
        *_words(),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts).encode() + b"\n"


_MISSING = (
    "The provider names these, the archive does not have them, and nobody was at work on them. "
    "Unless the run was asked only to report, each was put into the queue again."
)
_FAILED = (
    "These are not as they should be, each for its reason, and no job could mend them. "
    "<code>legato status</code> says what to do next."
)


def _verdict(report: Reconciliation) -> Iterable[str]:
    """Say in one sentence whether anything is wrong."""
    wrong = [
        f"{len(found)} {word}"
        for found, word in ((report.missing, "missing"), (report.failed, "failed"))
        if found
    ]
    if wrong:
        yield f'<p class="verdict bad">{" and ".join(wrong)}.</p>'
    elif not report.not_asked:
        yield '<p class="verdict good">Nothing is missing.</p>'
    if report.not_asked:
        yield (
            '<p class="verdict warn">Not everything could be asked: the figures are not complete.'
            "</p>"
        )


def _facts(report: Reconciliation) -> Iterable[str]:
    facts = (
        ("Ran", f"{_moment(report.began_at)} to {_moment(report.ended_at)}"),
        ("Asked", ", ".join(map(provider_name, report.providers)) or "nobody"),
        ("Recorded", f"{len(report.found)}"),
        *((fate.capitalize(), f"{report.counts[fate]}") for fate in FATES),
        ("Missing for more than a day", f"{report.missing_over_a_day}"),
        ("Put into the queue again", f"{report.queued}"),
    )
    yield "<dl>"
    for name, value in facts:
        yield f"<dt>{html_text(name)}</dt><dd>{html_text(value)}</dd>"
    yield "</dl>"


def _not_asked(not_asked: Sequence[NotAsked]) -> Iterable[str]:
    if not not_asked:
        return
    yield "<h2>Could not be asked</h2>"
    rows = ((provider_name(one.provider), one.what, one.reason) for one in not_asked)
    yield from _table(("Provider", "What", "Why"), rows, ids=(1,))


def _days(report: Reconciliation) -> Iterable[str]:
    yield "<h2>By day and provider</h2>"
    yield '<div class="wide"><table><thead><tr><th>Day</th><th>Provider</th>'
    yield "".join(f'<th class="n">{name}</th>' for name in ("Recorded", *_titles()))
    yield "</tr></thead><tbody>"
    for one in report.days():
        name = html_text(provider_name(one.provider))
        figures = _figures(one)
        if not report.complete(one.provider):
            name += ' <span class="warn">(not complete)</span>'
            # Nobody could say that it was nothing.
            figures = figures if one.recorded else '<td class="n warn">?</td>' * (1 + len(FATES))
        yield f'<tr><td class="time">{html_text(one.day)}</td><td>{name}</td>{figures}</tr>'
    total = "".join(f'<td class="n">{report.counts[fate]}</td>' for fate in FATES)
    yield (
        f'</tbody><tfoot><tr><td colspan="2">Together</td><td class="n">{len(report.found)}</td>'
        f"{total}</tr></tfoot></table></div>"
    )


def _figures(one: Day) -> str:
    cells = [f'<td class="n">{html_text(one.recorded)}</td>']
    for fate in FATES:
        bad = " bad" if fate in ("failed", "missing") and one.counts[fate] else ""
        cells.append(f'<td class="n{bad}">{html_text(one.counts[fate])}</td>')
    return "".join(cells)


def _recordings(title: str, found: Sequence[Found], words: str) -> Iterable[str]:
    if not found:
        return
    yield f"<h2>{title}: {len(found)}</h2>"
    yield f"<p>{words}</p>"
    rows = (
        (
            _moment(one.began_at) if one.began_at else f"{one.day}",
            provider_name(one.provider),
            one.account,
            one.call,
            one.recording,
            one.kind,
            one.reason,
            f"{one.times_seen}",
            _moment(one.first_seen) if one.first_seen else "",
        )
        for one in found[:SHOWN]
    )
    head = (
        "Began",
        "Provider",
        "Account",
        "Call",
        "Recording",
        "What",
        "Why",
        "Times seen",
        "First seen",
    )
    yield from _table(head, rows, ids=(2, 3, 4), times=(0, 8), numbers=(7,))
    if len(found) > SHOWN:
        yield f"<p>And {len(found) - SHOWN} more, in the JSON beside this page.</p>"


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    ids: Sequence[int] = (),
    times: Sequence[int] = (),
    numbers: Sequence[int] = (),
) -> Iterable[str]:
    """Yield a table of texts, which are escaped here."""
    kinds = dict.fromkeys(ids, "id") | dict.fromkeys(times, "time") | dict.fromkeys(numbers, "n")

    def cell(tag: str, column: int, text: str) -> str:
        kind = f' class="{kinds[column]}"' if column in kinds else ""
        return f"<{tag}{kind}>{html_text(text)}</{tag}>"

    titles = "".join(cell("th", column, text) for column, text in enumerate(head))
    yield f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>'
    for row in rows:
        cells = "".join(cell("td", column, text) for column, text in enumerate(row))
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def _words() -> Iterable[str]:
    words = (
        ("Recorded", "The provider's own list names the recording."),
        ("Archived", "A sealed manifest names it, and S3 has its object as it was sealed."),
        ("Waiting", "It is young, or a job is known to wait for it or to be at work."),
        ("Failed", "It is not as it was sealed, or cannot be archived, or is not in the list."),
        ("Missing", "It is not in the archive, and nothing would have brought it there."),
    )
    yield "<h2>What the words mean</h2>"
    yield "<dl>"
    for name, meaning in words:
        yield f"<dt>{html_text(name)}</dt><dd>{html_text(meaning)}</dd>"
    yield "</dl>"


def _titles() -> tuple[str, ...]:
    return tuple(fate.capitalize() for fate in FATES)


def _last_day(report: Reconciliation) -> str:
    return _day(report.end - timedelta(microseconds=1))


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
