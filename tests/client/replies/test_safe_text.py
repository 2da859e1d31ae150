"""What is shown of others' texts: no value of a query, no row, no secret, no control character, never too long."""

from __future__ import annotations

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.replies.safe_text import fit, one_line, without_sent, without_values

SOQL = (
    "SELECT Id, Name FROM Contact WHERE Name = 'O\\'Hara of Dublin' AND Ssn__c = '123-45-6789' AND Birthdate = "
    "1980-02-29 AND Amount__c > 98765.5 AND LastSeen__c < 2024-05-06T07:08:09Z AND Code__c = 'x' LIMIT 10"
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\nSsn__c = '123-45-6789' AND Birth\n ^\nERROR at Row:1:Column:46\nNo such column 'Ssn__c'",
         "\nSsn__c = '***' AND Birth\n ^\nERROR at Row:1:Column:46\nNo such column 'Ssn__c'"),
        ("d Birthdate = 1980-02-29 AND Amount__c > 98765.5 AND", "d Birthdate = *** AND Amount__c > *** AND"),
        ("45-6789' AND Birthdate = 1980-0", "***' AND Birthdate = ***"),
        ("ara of Dublin' AND Ssn__c = '123", "***' AND Ssn__c = '***"),
        ("value not allowed: O'Hara of Dublin", "value not allowed: ***"),
        ("invalid date 2024-05-06T07:08:09Z", "invalid date ***"),
        ("'x' is no code, and x is not shown bare", "'***' is no code, and x is not shown bare"),
        ("sObject type 'Contact' is not supported", "sObject type 'Contact' is not supported"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_refusal_shows_no_value_of_the_query(said, shown):
    assert without_values(said, SOQL) == shown


@given(value=st.text(st.characters(exclude_characters="'\\", exclude_categories=["Cs"]), min_size=4), data=st.data())
def test_no_piece_of_a_value_is_quoted(value, data):
    soql = f"SELECT Id FROM Account WHERE Secret__c = '{value}' AND Other__c = 'y'"
    begin = data.draw(st.integers(25, 45))
    end = data.draw(st.integers(begin + 8, len(soql)))
    shown = without_values(soql[begin:end], soql)
    assert value not in shown


@pytest.mark.parametrize("value", ["a" * 90_000, "ab" * 45_000, "".join(f"{each:06d}," for each in range(13_000))])
def test_a_refusal_of_100_kb_is_looked_through_for_values_within_seconds(value):
    soql = f"SELECT Id FROM Contact WHERE Name = '{value}'"
    begun = time.process_time()
    shown = without_values(soql * 2, soql)
    assert time.process_time() - begun < 30  # it took many minutes
    assert value[:50] not in shown
    assert value[-50:] not in shown


def test_words_of_the_rows_that_were_sent_are_taken_out():
    rows = b'Name,Email__c\n"Zaphod Beeblebrox",zaphod@example.com\n'
    said = "Failed to parse 'Zaphod Beeblebrox' of Name, Email__c: zaphod@example.com"
    for step in (1, 7, 1000):
        chunks = [rows[at : at + step] for at in range(0, len(rows), step)]
        assert without_sent(said, chunks) == "Failed to parse '*** ***' of Name, Email__c: ***"


@given(st.text())
def test_what_cannot_be_seen_is_shown_and_nothing_is_too_long(text):
    shown = fit(text)
    assert all(each.isprintable() or each == "\n" for each in shown)
    assert len(shown) <= 1000
    assert fit(shown) == shown
    assert len(one_line(text, 50)) <= 100


def test_control_characters_are_spelt_out():
    assert fit("\x1b[2J\x00\u202eabc\ud800") == "\\x1b[2J\\x00\\u202eabc\\ud800"


def test_every_error_is_fit_to_be_shown_and_keeps_its_end():
    error = errors.SourceError("unknown columns " + ", ".join(f"\x1bColumn{n}" for n in range(5000)) + ": check them")
    assert len(str(error)) == 1000
    assert str(error).endswith(": check them")
    assert "\x1b" not in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
