"""The lists of a package: a table for spreadsheets, and what programs read."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from legato import __version__
from legato.model import format_time
from legato.printable import spreadsheet_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.model import Json
    from legato.ports import Access
    from legato.retrieval.export.call_summary import CallSummary
    from legato.retrieval.export.choose import Chosen, ExportRequest

SCHEMA_VERSION = 1
COLUMNS = (
    "time",
    "direction",
    "provider",
    "account",
    "call",
    "numbers",
    "names",
    "agents",
    "duration",
    "legs",
    "file",
    "sha256",
    "manifest",
    "digest",
)


def index_csv(cards: Sequence[CallSummary]) -> bytes:
    """Return the table, a line a call, in UTF-8 with the mark by which spreadsheets know it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(map(spreadsheet_cell, _line(card)) for card in cards)
    return text.getvalue().encode("utf-8-sig")


def custody(
    asked: ExportRequest, accesses: Sequence[Access], *, calls: int, part: int, parts: int
) -> Json:
    """Return who exported what, when and why, and who had looked at it before."""
    return {
        "schema_version": SCHEMA_VERSION,
        "legato_version": __version__,
        "name": asked.name,
        "reason": asked.reason,
        "exported_by": asked.by,
        "exported_at": format_time(asked.at),
        "query": asked.query,
        "access_records": list(asked.recorded),
        "part": part,
        "parts": parts,
        "calls": calls,
        "accesses": [
            {
                "at": format_time(access.at),
                "by": access.by,
                "action": access.action,
                "reason": access.reason,
                "case": access.case,
                "record": access.key,
            }
            for access in accesses
        ],
    }


def contents(asked: ExportRequest, chosen: Sequence[Chosen], *, part: int, parts: int) -> Json:
    """Return what the package holds: docs/export.schema.json."""
    documents = {document.key: document for each in chosen for document in each.documents}
    return {
        "schema_version": SCHEMA_VERSION,
        "legato_version": __version__,
        "name": asked.name,
        "exported_at": format_time(asked.at),
        "part": part,
        "parts": parts,
        "all_revisions": asked.all_revisions,
        "calls": [
            {
                **each.row.id._asdict(),
                "prefix": each.row.prefix,
                "revisions": list(each.whole),
            }
            for each in chosen
        ],
        "documents": sorted(documents),
        "left_out": sorted(key for each in chosen for key in each.left_out),
        "unchained": sorted(key for key, document in documents.items() if not document.digest),
    }


def _line(card: CallSummary) -> list[str]:
    return [
        format_time(card.started_at),
        card.direction or "",
        card.provider,
        card.account,
        card.call,
        "; ".join(card.numbers),
        "; ".join(card.names),
        "; ".join(card.agents),
        f"{card.duration_ms / 1000:.3f}",
        str(len(card.legs)),
        card.file,
        card.sha256,
        card.manifest,
        card.digest or "",
    ]
