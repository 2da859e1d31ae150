"""Makes text from servers, files and forms safe to show in a message, a log line, a terminal, or Airflow's pages.

Such text may have control characters that change what a terminal shows, may be megabytes long, and may quote what must
stay hidden: a secret that was sent, a value of the query, a cell of a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MESSAGE_CHARACTERS: Final = 1_000
"""Characters of a message at most. Ours: it has to fit into a log line, a database column and a mail."""

HIDDEN: Final = "***"
_TAIL: Final = 380
_CUT: Final = " […] "
_SHORTEST: Final = 3
"""Length from which a value is looked for anywhere; shorter ones are found only where the query is quoted."""

_READ_CHARACTERS: Final = 4_000
"""Characters of a text in which values of a query are looked for, half of them at its end. A text of 100 kB would be looked
through for minutes, since it may have every piece in common with the query."""

_WORDS_CHARACTERS: Final = 1_500
"""The same for words of rows, each of which is looked for in all of the 100 MB that were sent."""

_WINDOW: Final = 6
"""Characters that a text must have in common with a query, at least, to count as a quotation of it."""

_LITERAL: Final = re.compile(
    r"'(?P<text>(?:[^'\\]|\\.)*)'?|(?<![\w.:])(?P<number>[+-]?\d[\w.:+-]*)", re.DOTALL | re.ASCII
)
"""A literal of SOQL: a text in quotes, or what begins with a digit, as numbers and dates do."""

_WORD: Final = re.compile(r"[^\s,;:'\"()\[\]{}<>|`^=]{3,}")
_HEADER_BYTES: Final = 1024 * 1024
_OVERLAP: Final = 4096
"""Bytes of a piece that are looked at with the next one: a word may be cut by the pieces' end."""

_GUARDED: Final = re.compile(
    r"(?P<mark>['\"`])(?P<quoted>[^'\"`]*)(?P=mark)|(?<![^\s,;:(=<>\[{|])[^\s,;:()=<>\[\]{}|]*(?:@|\d[^\s,;]*\d[^\s,;]*\d)"
    r"[^\s,;:()=<>\[\]{}|]*"
)
_CUSTOM: Final = re.compile(r"[A-Za-z]\w*__[a-z]{1,3}(?:\.\w+)*", re.ASCII)

_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def fit(text: str, most: int = MESSAGE_CHARACTERS) -> str:
    """Show invisible characters, and cut long texts in the middle: the advice is at the end."""
    shown = text if text.isprintable() else "".join(map(_visible, text))
    if len(shown) <= most:
        return shown
    tail = min(_TAIL, most // 3)
    return shown[: most - tail - len(_CUT)] + _CUT + shown[-tail:]


def one_line(text: str, most: int) -> str:
    """Return the beginning of a reply's text on one line, with invisible characters shown."""
    return fit(" ".join(text[: most * 4].split())[:most])[: most * 2]


def without_values(text: str, soql: str) -> str:
    """Return a text without the values of a query that it quotes, whole ones or pieces.

    Salesforce quotes some characters around what it stumbled over, so a value may be cut at both ends. What the text
    has in common with the query is found first; in it, literals are hidden. Then values that are named by themselves.
    """
    if not text or not soql:
        return text
    text = _ends(text, _READ_CHARACTERS)
    is_value = bytearray(len(soql))
    values: set[str] = set()
    for match in _LITERAL.finditer(soql):
        name = "text" if match["text"] is not None else "number"
        start, end = match.span(name)
        is_value[start:end] = b"\1" * (end - start)
        values |= {match[name], _ESCAPED.sub(r"\1", match[name])}
    hidden = bytearray(len(text))
    _mark_quoted(text, soql, is_value, hidden)
    for value in values:
        for spelling in {value, " ".join(value.split())}:
            _mark_named(text, spelling, hidden)
    return starred(text, hidden)


def without_sent(text: str, chunks: Iterable[bytes]) -> str:
    """Return a text without the words that stand in the rows that were sent. Names of columns, in the first line, stay.

    :param chunks: the body, in pieces; read once, and only after a refusal
    """
    text = _ends(text, _WORDS_CHARACTERS)
    words = {word.encode("utf-8", "replace"): word for word in _WORD.findall(text)}
    found: set[str] = set()
    kept = b""
    header: bytes | None = None
    for chunk in chunks:
        piece = kept + chunk
        if header is None:
            header, end, piece = piece.partition(b"\n")
            if not end and len(header) < _HEADER_BYTES:
                kept, header = header, None
                continue
            words = {data: word for data, word in words.items() if data not in header}
        for data in [data for data in words if data in piece]:
            found.add(words.pop(data))
        kept = piece[-_OVERLAP:]
    return _WORD.sub(lambda match: HIDDEN if match[0] in found else match[0], text)


def guarded(text: str) -> str:
    """Return what Salesforce says about a whole job, for callers that do not know what was sent with it.

    It may quote a row or a piece of the query. Anything in quotes that is not the name of a custom field, and words
    with an ``@`` or three digits, are left out; the job's page in Setup has all of it.
    """
    return _GUARDED.sub(_guard, text)


def _guard(match: re.Match[str]) -> str:
    quoted = match["quoted"]
    if quoted is None:
        return HIDDEN
    return match[0] if _CUSTOM.fullmatch(quoted) else f"{match[0][0]}{HIDDEN}{match[0][0]}"


def _ends(text: str, most: int) -> str:
    """Return the beginning and the end of a text that is too long to look for values in it."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}{_CUT}{text[-half:]}"


def _mark_quoted(text: str, soql: str, is_value: bytearray, hidden: bytearray) -> None:
    at = 0
    while at + _WINDOW <= len(text):
        if text[at : at + _WINDOW] not in soql:
            at += 1
            continue
        length = _WINDOW
        while at + length < len(text) and text[at : at + length + 1] in soql:
            length += 1
        piece = text[at : at + length]
        found = int.from_bytes(hidden[at : at + length])
        place = soql.find(piece)
        while place >= 0:  # it may stand in the query more than once: a value in any of the places is one
            found |= int.from_bytes(is_value[place : place + length])
            place = soql.find(piece, place + 1)
        hidden[at : at + length] = found.to_bytes(length)
        at += length - _WINDOW + 1 if length > _WINDOW else 1


def _mark_named(text: str, value: str, hidden: bytearray) -> None:
    if len(value) >= _SHORTEST:
        pattern = re.escape(value)
    elif value:
        pattern = f"(?<=['\"]){re.escape(value)}(?=['\"])"
    else:
        return
    for match in re.finditer(pattern, text, re.IGNORECASE):
        hidden[match.start() : match.end()] = b"\1" * (match.end() - match.start())


def starred(text: str, hidden: bytearray) -> str:
    """Hide characters of a text: those that are not 0 in ``hidden``."""
    pieces: list[str] = []
    at = 0
    while at < len(text):
        until = at
        while until < len(text) and hidden[until] == hidden[at]:
            until += 1
        pieces.append(HIDDEN if hidden[at] else text[at:until])
        at = until
    return "".join(pieces)


def _visible(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return character.encode("unicode_escape").decode("ascii")
