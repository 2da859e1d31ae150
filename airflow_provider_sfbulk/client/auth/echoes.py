"""Finds secrets that a server repeats in its text, however they are spelled.

The login host receives the secrets, and the text of its refusal is shown to the user. It may repeat a secret in
capitals, in hex, with blanks in between, over two lines, cut off, or percent-encoded twice. No list of spellings is
complete, so both the secret and the text are *folded*: escapes are decoded, compatibility forms become plain ones, and
case and everything but letters and digits is dropped. Whatever the two have in common after that is hidden at its place
in the text. Hiding too much of a refusal does less harm than hiding too little.

Airflow's own log masker compares texts literally, so it gets ``settings.spellings``.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.replies.safe_text import HIDDEN, starred
from airflow_provider_sfbulk.client.settings import MASK_CHARACTERS

_ESCAPE: Final = re.compile(
    r"(?P<bytes>(?:%[0-9a-f]{2})+|(?:\\x[0-9a-f]{2})+)|&(?:#(?P<decimal>[0-9]{1,7})|#x(?P<hex>[0-9a-f]{1,6})|(?P<name>[a-z]{2,8}));|\\u\{?(?P<point>[0-9a-f]{2,6})\}?"
    r"|(?<!\w)0x(?=[0-9a-f]{2}\b)",
    re.IGNORECASE,
)
_BYTE: Final = re.compile(r"%|\\x", re.IGNORECASE)
_LEVELS: Final = 3
"""How often escapes are decoded, 0 to 2: a percent sign may itself be encoded."""

_NO_LETTER: Final = re.compile(r"[\W_]+")
_LETTER: Final = re.compile(r"\w")
_WORD: Final = 12
"""Letters, or digits, in a row of a secret from which on a match cannot be chance."""

_PIECE: Final = 8
"""Letters and digits that a text must share with a secret, unless it contains all of it."""

_LONGEST: Final = 8192
"""Characters of a text in which the places of secrets are found."""

_LONGEST_IN_PIECES: Final = 256
"""Characters of a secret that is also looked for in pieces: half of what is longer, a signature or a key, is no secret."""


class Echoes:
    """Finds secrets in text from elsewhere.

    :param spellings: of the secrets, see ``settings.spellings``
    """

    def __init__(self, spellings: Iterable[str]) -> None:
        self._verbatim = frozenset(text for text in spellings if len(text) >= MASK_CHARACTERS)
        self._folded = frozenset(
            needle for text in self._verbatim for needle in _needles(text) if len(needle) >= MASK_CHARACTERS
        )
        self._words = frozenset(_fold(text) for text in self._verbatim if _is_word(text))

    def hidden(self, text: str) -> str:
        """Return a text without secrets."""
        if not self._repeats(text):
            return text
        if len(text) > _LONGEST:  # so much is never shown, and finding the places takes time
            return HIDDEN
        levels = [_Level(text, [(at, at + 1) for at in range(len(text))])]
        while len(levels) < _LEVELS:
            levels.append(levels[-1].decoded())
        marks = bytearray(len(text))
        for start, end in levels[0].places_of(self._verbatim):
            marks[start:end] = b"\1" * (end - start)
        for level in levels:
            folded = level.folded()
            for needle in self._folded:
                for start, end in folded.places_of([needle]):
                    if not (needle in self._words and _is_inside(text, start, end)):
                        marks[start:end] = b"\1" * (end - start)
        return starred(text, marks)

    def _repeats(self, text: str) -> bool:
        """Whether there is anything to hide. Usually there is not, and this is fast."""
        if any(secret in text for secret in self._verbatim):
            return True
        for _ in range(_LEVELS):
            folded = _fold(text)
            if any(needle in folded for needle in self._folded):
                return True
            decoded = _ESCAPE.sub(_meaning, text)
            if decoded == text:
                return False
            text = decoded
        return False

    def hidden_in(self, data: bytes) -> bytes:
        """Return a body without secrets."""
        text = data.decode("utf-8", "surrogateescape")
        hidden = self.hidden(text)
        return data if hidden == text else hidden.encode("utf-8", "surrogateescape")


@dataclass
class _Level:
    """A text, and for each character where it stands in the text it was made from."""

    text: str
    places: list[tuple[int, int]]

    def decoded(self) -> _Level:
        """Decode what is escaped, once."""
        pieces: list[str] = []
        places: list[tuple[int, int]] = []
        at = 0
        for match in _ESCAPE.finditer(self.text):
            start, end = match.span()
            meant = _meaning(match)
            pieces += [self.text[at:start], meant]
            places += self.places[at:start]
            places += [(self.places[start][0], self.places[end - 1][1])] * len(meant)
            at = end
        return _Level("".join([*pieces, self.text[at:]]), [*places, *self.places[at:]])

    def folded(self) -> _Level:
        """Keep letters and digits only, without case."""
        pieces: list[str] = []
        places: list[tuple[int, int]] = []
        for character, place in zip(self.text, self.places, strict=True):
            plain = _fold(character)
            if plain:
                pieces.append(plain)
                places += [place] * len(plain)
        return _Level("".join(pieces), places)

    def places_of(self, needles: Iterable[str]) -> Iterator[tuple[int, int]]:
        """Find texts; give their places in the text that all was made from."""
        for needle in needles:
            at = self.text.find(needle)
            while at >= 0:
                yield self.places[at][0], self.places[at + len(needle) - 1][1]
                at = self.text.find(needle, at + 1)


def _is_word(secret: str) -> bool:
    """Whether it may stand in another word by chance, as the password ``token`` does in a code."""
    return len(secret) < _WORD and (secret.isalpha() or secret.isdigit())


def _is_inside(text: str, start: int, end: int) -> bool:
    """Whether a word goes on before or behind a place."""
    return bool(_LETTER.match(text[start - 1 : start]) or _LETTER.match(text[end : end + 1]))


def _meaning(escape: re.Match[str]) -> str:
    if escape["bytes"]:
        return bytes.fromhex(_BYTE.sub("", escape["bytes"])).decode("utf-8", "replace")
    if escape["name"]:
        return html.unescape(escape[0])
    # Not by html.unescape: it takes numbers of control characters for those of Windows-1252.
    point = int(escape["decimal"] or "0") or int(escape["hex"] or escape["point"] or "0", 16)
    return chr(point) if 0 < point < 0x110000 else ""


def _fold(text: str) -> str:
    return _NO_LETTER.sub("", unicodedata.normalize("NFKD", text).casefold())


def _needles(secret: str) -> Iterator[str]:
    """Yield what a folded text has when it repeats a secret: itself, its bytes as numbers, and pieces of it."""
    whole = _fold(secret)
    yield whole
    yield _fold(secret[::-1])
    for cased in {secret, secret.upper(), secret.lower()}:
        data = cased.encode("utf-8", "surrogatepass")
        yield data.hex()
        yield "".join(map(str, data))
    size = max(_PIECE, (len(whole) + 1) // 2)
    if len(whole) <= _LONGEST_IN_PIECES:
        for at in range(len(whole) - size + 1):
            piece = whole[at : at + size]
            if not piece.isalpha() and not piece.isdigit():  # no word, as of a passphrase, and no number
                yield piece
