"""A login host that repeats what it was sent: no spelling of a secret is shown, and nothing else is hidden."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.auth.echoes import Echoes
from airflow_provider_sfbulk.client.settings import spellings

SECRET = "S3cret+Of The_App/9"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "with its case turned": str.swapcase,
    "in hex": lambda text: text.encode().hex(),
    "in hex, in capitals": lambda text: text.encode().hex().upper(),
    "in hex with colons": lambda text: text.encode().hex(":"),
    "in hex, of capitals": lambda text: text.upper().encode().hex(" "),
    "in hex with 0x": lambda text: " ".join(f"0x{byte:02x}" for byte in text.encode()),
    "as escapes of Python": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "as escapes of JSON": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "as numbers": lambda text: ", ".join(map(str, text.encode())),
    "percent-encoded": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent-encoded twice": lambda text: quote("".join(f"%{byte:02x}" for byte in text.encode())),
    "as in a URL": lambda text: quote(text, safe=""),
    "as in a form": quote_plus,
    "as entities": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "as entities in hex": lambda text: "".join(f"&#x{ord(each):x};" for each in text),
    "spaced": " ".join,
    "over lines": lambda text: f"{text[:7]}\n{text[7:]}",
    "over lines of Windows, indented": lambda text: f"{text[:7]}\r\n    {text[7:]}",
    "hyphenated": "-".join,
    "with characters that cannot be seen": "\u200b".join,
    "in full width": lambda text: "".join(chr(ord(each) + 0xFEE0) if each.isalnum() else each for each in text),
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 behind a name": lambda text: base64.b64encode(f"u:{text}".encode()).decode(),
    "in base64 over lines": lambda text: "\n".join(re.findall(".{1,10}", base64.b64encode(text.encode()).decode())),
    "as JSON": json.dumps,
    "cut off": lambda text: text[: len(text) * 2 // 3],
    "without its beginning": lambda text: text[len(text) // 3 :],
    "backwards": lambda text: text[::-1],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_hidden_however_it_is_spelled(spelling: str) -> None:
    written = SPELLINGS[spelling](SECRET)
    shown = Echoes(spellings(SECRET)).hidden(f"invalid_client: client_secret={written}&x=y is wrong")
    assert "***" in shown
    assert shown.startswith("invalid_client: client_secret=")
    assert shown.endswith("&x=y is wrong")
    plain = re.sub(r"\W", "", written)
    left = re.sub(r"\W", "", shown.removeprefix("invalid_client: client_secret=").removesuffix("&x=y is wrong"))
    assert len(left) <= max(6, len(plain) // 4)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=6, max_size=40), st.sampled_from(sorted(SPELLINGS)))
def test_a_secret_of_any_characters_is_hidden(secret: str, spelling: str) -> None:
    echoes = Echoes(spellings(secret))
    if len(re.sub(r"[\W_]", "", secret)) < 6 or spelling in ("cut off", "without its beginning", "in full width"):
        spelling = "as it is"
    written = SPELLINGS[spelling](secret)
    assert written not in echoes.hidden(f"<{written}>")


@given(st.text(max_size=200))
def test_a_text_that_repeats_nothing_stays_as_it_is(text: str) -> None:
    assert Echoes(spellings("S3cretOfTheApp", "P4ssword!")).hidden(text) == text


@pytest.mark.parametrize("password", ["Salesforce1", "authentication!", "invalid-grant-9"])
def test_words_that_a_password_shares_with_the_text_are_left(password: str) -> None:
    text = "authentication failure, Salesforce says: this grant is invalid"
    assert Echoes(spellings(password)).hidden(text).count("***") <= 1
    assert Echoes(spellings("Salesforce1")).hidden(text) == text


def test_a_word_that_is_a_secret_is_hidden_where_it_is_one() -> None:
    echoes = Echoes(spellings("token"))
    assert echoes.hidden("LOGIN_MUST_USE_SECURITY_TOKEN: the T O K E N is TOKEN, %54oken") == (
        "LOGIN_MUST_USE_SECURITY_TOKEN: the *** is ***, ***"
    )


def test_a_long_text_with_a_secret_is_hidden_as_a_whole() -> None:
    assert Echoes(spellings(SECRET)).hidden("x" * 100_000 + SECRET) == "***"


def test_a_body_that_is_no_text_keeps_its_other_bytes() -> None:
    echoes = Echoes(spellings("S3cretOfTheApp"))
    assert echoes.hidden_in(b"\xff\xfe{S3CRETOFTHEAPP}\x80") == b"\xff\xfe{***}\x80"
    assert echoes.hidden_in("S3cretOfTheApp".encode("utf-16-le")).strip(b"\0") == b"***"
