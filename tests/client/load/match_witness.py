"""What matching must do, written down independently: meanings of values, Salesforce's spellings of them, the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.load.digests import DigestFile
from airflow_provider_sfbulk.client.load.fingerprints import Fingerprints, RowForm, fingerprint
from airflow_provider_sfbulk.client.results.typed import read_text
from tests.client.results.out_witness import COMMA, encode, java_double, texts

BLANKS = ("", "#N/A")

AROUND = "".join(sign for sign in map(chr, range(0x10000)) if sign.isspace() or sign < "!")
"""What is no part of a value at either end: Unicode's blanks, and the controls, as Java's ``trim`` has it."""


def meaning(kind: str, text: str) -> Any:
    """A value as a Python object; the spellings that :data:`spellings` draws only."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip(AROUND)
    if text in BLANKS:
        return None
    return _MEANINGS[kind](text)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_MEANINGS: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "double": Decimal,
    "boolean": lambda text: text.lower() in {"true", "1"},
    "date": lambda text: date.fromisoformat(text[:10]),
    "datetime": _instant,
    "time": lambda text: time.fromisoformat(text.rstrip("Z")),
}


def echo(kind: str, text: str) -> str:
    """A value as Salesforce writes it in a result file."""
    held = meaning(kind, text)
    if held is None:
        return ""
    return _ECHOES[kind](held)


_ECHOES: Mapping[str, Callable[[Any], str]] = {
    "string": str,
    "double": lambda number: java_double(float(number)),
    "boolean": lambda flag: "true" if flag else "false",
    "date": date.isoformat,
    "datetime": lambda moment: moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z",
    "time": lambda moment: moment.isoformat(timespec="milliseconds") + "Z",
}


@st.composite
def _numbers(draw: st.DrawFn) -> str:
    digits, power = draw(st.integers(0, 10**15 - 1)), draw(st.integers(-15, 15))
    number = Decimal(digits).scaleb(power) * draw(st.sampled_from([1, -1]))
    return draw(
        st.sampled_from([f"{number:f}", f"{number:e}", f"{number:E}", f"{number:f}".replace("0.", ".", 1)]).filter(
            lambda text: Decimal(text) == number
        )
    )


_EARLIEST, _LATEST = datetime(1900, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - what Hypothesis takes


@st.composite
def _moments(draw: st.DrawFn) -> str:
    moment = draw(st.datetimes(_EARLIEST, _LATEST))
    moment = moment.replace(microsecond=draw(st.sampled_from([0, 0, 120_000, 123_000])))
    zone = draw(st.integers(-14 * 60, 14 * 60))
    local = moment.replace(tzinfo=timezone(timedelta(minutes=zone)))
    text = local.isoformat(timespec=draw(st.sampled_from(["auto", "milliseconds", "microseconds"])))
    return draw(st.sampled_from([text, text.replace("+00:00", "Z"), text[:-3] + text[-2:]]))


_FEW: Mapping[str, list[str]] = {
    "string": ["x", " x", "x\t", "X", "x\ny", "x\r\ny", "x\ry", "é", "a\x1fb", "a", "\x1e1"],
    "double": [
        "1",
        "1.0",
        "1E0",
        "+1",
        "01.",
        "912260031",
        "9.12260031E8",
        "-0",
        "0",
        "0.1",
        "1e-1",
        "1000000000000000",
    ],
    "boolean": ["true", "TRUE", "1", "False", "0"],
    "date": ["2026-03-04", "1990-06-07Z", "1990-06-07"],
    "datetime": ["2026-03-04T05:06:07.000Z", "2026-03-04T05:06:07Z", "2026-03-04T06:06:07+01:00"],
    "time": ["05:06:07.000Z", "05:06:07Z", "05:06:07"],
}

_MANY: Mapping[str, st.SearchStrategy[str]] = {
    "string": texts,
    "double": _numbers(),
    "boolean": st.sampled_from(_FEW["boolean"]),
    "date": st.dates().map(date.isoformat),
    "datetime": _moments(),
    "time": st.times().map(lambda moment: moment.replace(microsecond=0).isoformat()),
}

KINDS = tuple(_FEW)


def spellings(kind: str) -> st.SearchStrategy[str]:
    """Values of a field as users write them; few, so that the same come again, and any."""
    return st.sampled_from([*_FEW[kind], *BLANKS]) | _MANY[kind]


def take(
    columns: Sequence[str], rows: Iterable[Sequence[str]], form: RowForm, dialect: Dialect = COMMA
) -> Fingerprints:
    """Fingerprints of rows that went through a real CSV."""
    data = encode([columns], dialect, quote_all=False) + encode(rows, dialect)
    return fingerprint(read_text([data], dialect), form)


def made(values: Sequence[int], keys: Sequence[int] | None) -> Fingerprints:
    """Fingerprints of rows known by numbers; key 0 is none."""

    def digests(numbers: Sequence[int]) -> DigestFile:
        # Shares of their own, but for some.
        return digest_file([[number * 2**59 % 2**64 + number, number * 7] for number in numbers])

    return Fingerprints(digests([value + 1 for value in values]), None if keys is None else digests(keys))


def digest_file(digests: Sequence[Sequence[int]]) -> DigestFile:
    """Digests as they lie in a file, in two pieces."""
    file, half = DigestFile(), len(digests) // 2
    for piece in (digests[:half], digests[half:]):
        file.add(np.array(piece, np.uint64).reshape(-1, 2))
    return file


Rows = Sequence[tuple[int, int]]


def match_one_by_one(rows: Rows, results: Mapping[str, Rows]) -> tuple[dict[str, list[int]], list[int]]:
    """The rules, with loops; a row is (value, key), key 0 is none."""
    kinds = [kind for kind in ("successful", "failed", "unprocessed") if kind in results]
    found = {kind: [-1] * len(results[kind]) for kind in kinds}
    free = set(range(len(rows)))

    def give(kind: str, place: int, row: int) -> None:
        found[kind][place] = row
        free.remove(row)

    def open_results() -> list[tuple[str, int]]:
        return [(kind, place) for kind in kinds for place, row in enumerate(found[kind]) if row < 0]

    def by_key(barred: set[tuple[str, int]]) -> None:
        ours = Counter(rows[row][1] for row in free)
        theirs = Counter(results[kind][place][1] for kind, place in open_results())
        for kind, place in open_results():
            key = results[kind][place][1]
            if key and ours[key] == theirs[key] == 1 and (kind, place) not in barred:
                give(kind, place, next(row for row in free if rows[row][1] == key))

    by_key(set())
    for value in {value for value, _ in rows}:
        same = sorted(row for row in free if rows[row][0] == value)
        claims = {kind: [p for k, p in open_results() if k == kind and results[k][p][0] == value] for kind in kinds}
        room = len(same)
        for kind in kinds:
            claims[kind] = claims[kind][:room]
            room -= len(claims[kind])
        for place in claims.get("successful", []):
            give("successful", place, same.pop(0))
        for kind in ("unprocessed", "failed"):
            for place in reversed(claims.get(kind, [])):
                give(kind, place, same.pop())
    known = {value for value, _ in rows}
    by_key({(kind, place) for kind, place in open_results() if results[kind][place][0] in known})
    return found, sorted(free)
