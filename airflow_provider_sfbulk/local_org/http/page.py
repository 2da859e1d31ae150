"""The page at ``/``: jobs, faults, objects and calls, for people. It changes nothing.

One text without scripts and without anything loaded from elsewhere. Every value goes through :func:`_cell`, which
escapes it: names and values are whatever somebody has loaded.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.store import quoted
from airflow_provider_sfbulk.local_org.faults.kinds import AskedFault

FIRST_ROWS: Final = 5
ROW_COLUMNS: Final = 8
JOBS: Final = 50
CALLS: Final = 50
CELL_CHARACTERS: Final = 80

STYLE: Final = """
:root{color-scheme:light dark}
body{font:14px/1.45 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:.95rem;margin:1rem 0 .3rem}
p{margin:.3rem 0}.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;border-bottom:1px solid #8884;vertical-align:top;white-space:nowrap}
th{font-weight:600}.number{text-align:right}.quiet{opacity:.7}
.Failed,.Aborted,.refused{color:#c33}.JobComplete,.Closed{color:#283}
@media(prefers-color-scheme:dark){.Failed,.Aborted,.refused{color:#f77}.JobComplete,.Closed{color:#7c8}}
""".strip()

STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""What a content security policy calls :data:`STYLE`."""

NO_ANSWER: Final = 0

_SYSTEM: Final = frozenset(
    {"IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "OwnerId"}
)


def render(core: Core) -> str:
    """Return the page."""
    usage = core.usage
    return "".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Local Salesforce</title>',
            f"<style>{STYLE}</style></head><body><h1>Local Salesforce</h1>",
            f'<p class="quiet">A local org for tests and development, not Salesforce. It is '
            f"{_text(clock.in_csv(core.clock.now()))} here. API calls in 24 hours: {usage.api_requests.used:,} of "
            f"{usage.api_requests.maximum:,}. Reload to see more.</p>",
            *_jobs(core),
            *_faults(core),
            *_objects(core),
            *_calls(core),
            "</body></html>",
        ]
    )


# --- sections ---


def _objects(core: Core) -> Iterable[str]:
    with core.store.reader() as connection:
        counts = {sobject.name: _count(connection, sobject) for sobject in core.schema}
        yield "<h2>Objects</h2>"
        yield _table(
            ["Object", "Label", "Records", "In the recycle bin", "Fields"],
            [
                [sobject.name, sobject.label, *counts[sobject.name], len(sobject.fields)]
                for sobject in sorted(core.schema, key=lambda each: each.name)
            ],
        )
        for sobject in sorted(core.schema, key=lambda each: each.name):
            if counts[sobject.name][0]:
                yield f"<h3>{_text(sobject.name)}, the first records</h3>"
                yield _table(*_first_rows(connection, sobject))


def _jobs(core: Core) -> Iterable[str]:
    newest = list(core.jobs)[-JOBS:][::-1]
    yield "<h2>Jobs</h2>"
    yield _table(
        ["Id", "Kind", "Object", "Operation", "State", "Processed", "Failed", "Created", ""],
        [
            [
                job.id,
                job.kind,
                job.object,
                job.operation,
                _State(job.state),
                job.processed,
                job.failed,
                clock.in_csv(job.created),
                job.error_message or (job.query or ""),
            ]
            for job in (entry.job for entry in newest)
        ],
        "No jobs yet.",
    )
    older = list(core.bulk1)[-JOBS:][::-1]
    if older:
        yield "<h3>Bulk API 1.0</h3>"
        yield _table(
            ["Id", "Object", "Operation", "State", "Batches", "Processed", "Failed", "Created"],
            [
                [
                    entry.job.id,
                    entry.job.object,
                    entry.job.operation,
                    _State(entry.job.state),
                    len(entry.batches),
                    sum(each.batch.processed for each in entry.batches.values()),
                    sum(each.batch.failed for each in entry.batches.values()),
                    clock.in_csv(entry.job.created),
                ]
                for entry in older
            ],
        )


def _faults(core: Core) -> Iterable[str]:
    asked = [fault for fault in core.faults if isinstance(fault, AskedFault)]
    if asked:
        yield "<h2>Faults</h2>"
        yield _table(["Route", "Kind", "Calls broken"], [[fault.route, fault.kind, fault.struck] for fault in asked])


def _calls(core: Core) -> Iterable[str]:
    yield "<h2>Calls</h2>"
    yield _table(
        ["", "Method", "Path", "Status"],
        [
            [number, call.method, call.path, _Status(call.status)]
            for number, call in reversed(list(enumerate(core.calls, start=1))[-CALLS:])
        ],
        "No calls yet.",
    )


# --- records ---


def _count(connection: sqlite3.Connection, sobject: SObject) -> tuple[int, int]:
    """Return how many records there are, and how many are in the recycle bin."""
    sql = f"SELECT count(*), coalesce(sum(IsDeleted), 0) FROM {quoted(sobject.name)}"  # noqa: S608 - a name of the schema, quoted
    everything, deleted = connection.execute(sql).fetchone()
    return everything - deleted, deleted


def _first_rows(connection: sqlite3.Connection, sobject: SObject) -> tuple[list[str], list[list[Any]]]:
    """Return the first records, with those of their columns that hold something."""
    fields = [f for f in sobject.fields.values() if not f.is_compound and f.name not in _SYSTEM]
    names = [field.name for field in fields]
    sql = (
        f"SELECT {', '.join(map(quoted, names))} FROM {quoted(sobject.name)} "  # noqa: S608 - names of the schema, quoted
        f"WHERE IsDeleted = 0 ORDER BY Id LIMIT {FIRST_ROWS}"
    )
    found = connection.execute(sql).fetchall()
    filled = [place for place in range(len(names)) if any(row[place] not in (None, 0, "") for row in found)]
    shown = filled[:ROW_COLUMNS]
    rows = [
        [_boolean(row[place]) if fields[place].type == "boolean" else row[place] for place in shown] for row in found
    ]
    return [names[place] for place in shown], rows


def _boolean(value: int) -> str:
    return "true" if value else "false"


# --- HTML ---


class _State(str):
    """A job's state, which also is a class of the style."""

    __slots__ = ()


class _Status(int):
    """An HTTP status."""


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], empty: str = "Nothing yet.") -> str:
    if not rows:
        return f'<p class="quiet">{_text(empty)}</p>'
    top = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, _State):
        return f'<td class="{_text(value)}">{_text(value)}</td>'
    if isinstance(value, _Status):
        kind = "refused" if value >= 400 or value == NO_ANSWER else ""
        return f'<td class="{kind}">{int(value) or "no answer"}</td>'
    if isinstance(value, int | float):
        return f'<td class="number">{value:,}</td>'
    text = "" if value is None else str(value)
    return f"<td>{_text(text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + '…')}</td>"


def _text(value: str) -> str:
    return escape(str(value))
