"""What must hold for any query: values arrive whole and only as parameters, logic is logic, and nothing but
:class:`SoqlError` ever comes out."""

from __future__ import annotations

import operator
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.soql import SoqlError, compile_query, fold, register
from tests.examples import examples

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
THOROUGH = settings(SHARED, max_examples=examples(100))

# --- String literals ------------------------------------------------------------------------------------------------

ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", '"': '"', "'": "'", "\\": "\\"}


def spellings(character: str) -> list[str]:
    """Return every way to write a character in a string literal."""
    ways = [] if character in "'\\" else [character]
    if character in ESCAPES:
        ways.append(f"\\{ESCAPES[character]}")
        if character.isspace() or character == "\b":
            ways.append(f"\\{ESCAPES[character].upper()}")
    units = character.encode("utf-16-be").hex()
    ways.append("".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4)))
    return ways


TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("'\\\"\n\r\t\b\f%_\0"), min_size=1, max_size=30
)
WRITTEN = TEXT.flatmap(
    lambda text: st.tuples(st.just(text), st.tuples(*(st.sampled_from(spellings(c)) for c in text)).map("".join))
)


@SHARED
@given(WRITTEN)
@example(("😀", "\\ud83d\\ude00"))
@example(("'; DROP TABLE Account; --", "\\'; DROP TABLE Account; --"))
def test_a_quoted_string_arrives_exactly(schema: Schema, written: tuple[str, str]) -> None:
    text, literal = written
    compiled = compile_query(f"SELECT Id FROM Account WHERE Exact__c = '{literal}'", schema, now=NOW)
    assert compiled.parameters == (text,)
    assert compiled.sql == compile_query("SELECT Id FROM Account WHERE Exact__c = 'x'", schema, now=NOW).sql


@SHARED
@given(WRITTEN)
def test_a_stored_text_is_found_by_its_literal(
    database: sqlite3.Connection, schema: Schema, written: tuple[str, str]
) -> None:
    text, literal = written
    database.execute("DELETE FROM Account")
    database.executemany("INSERT INTO Account (Name, IsDeleted) VALUES (?, 0)", [(text,), (text + "x",), (None,)])
    for operator_and_value in (f"= '{literal}'", f"IN ('{literal}', 'no')", f"LIKE '{escape_wildcards(literal)}'"):
        compiled = compile_query(f"SELECT Name FROM Account WHERE Name {operator_and_value}", schema, now=NOW)
        if "LIKE" in operator_and_value and "\0" in text:
            continue  # SQLite's LIKE ends at a NUL, which Salesforce does not store
        assert database.execute(compiled.sql, compiled.parameters).fetchall() == [(text,)]


def escape_wildcards(literal: str) -> str:
    return re.sub(r"(\\u....|\\.)|([%_])", lambda m: m[1] or f"\\{m[2]}", literal, flags=re.DOTALL)


@given(st.text(), st.text())
def test_folding_goes_character_by_character(left: str, right: str) -> None:
    assert fold(left + right) == fold(left) + fold(right)
    assert len(fold(left)) == len(left)
    assert fold(fold(left)) == fold(left)
    assert [c.isascii() for c in fold(left)] == [c.isascii() for c in left]


@given(st.text(alphabet="aAbBäÄßſıİK", max_size=4), st.text(alphabet="aAbBzsikßäÄ", max_size=4))
@example("ſ", "s")
@example("ıK", "ik")
def test_sqlites_own_comparison_agrees_for_ascii(stored: str, literal: str) -> None:
    if literal.isascii():
        connection = sqlite3.connect(":memory:")
        register(connection)
        row = connection.execute("SELECT ? = ? COLLATE NOCASE, soql_fold(?)", (stored, literal, stored)).fetchone()
        connection.close()
        assert row == (fold(stored) == fold(literal), fold(stored))


# --- LIKE -----------------------------------------------------------------------------------------------------------

LIKE_PARTS = st.lists(st.sampled_from(["%", "_", "\\%", "\\_", "\\\\", "a", "A", "ä", "Ä", "*", "[", "?"]), max_size=6)
LIKE_TEXT = st.text(alphabet="aAäÄ%_\\*[?", max_size=6)


def as_regex(parts: list[str], *, flags: int) -> re.Pattern[str]:
    special = {"%": ".*", "_": "."}
    return re.compile("".join(special.get(part) or re.escape(part[-1]) for part in parts), flags | re.DOTALL)


@THOROUGH
@given(LIKE_PARTS, st.lists(LIKE_TEXT, min_size=1, max_size=5))
@pytest.mark.parametrize(("field", "flags"), [("Name", re.IGNORECASE), ("Exact__c", 0)])
def test_like_matches_as_its_wildcards_say(
    database: sqlite3.Connection, schema: Schema, field: str, flags: int, parts: list[str], texts: list[str]
) -> None:
    database.execute("DELETE FROM Account")
    database.executemany(f"INSERT INTO Account ({field}, IsDeleted) VALUES (?, 0)", [(text or None,) for text in texts])
    compiled = compile_query(f"SELECT {field} FROM Account WHERE {field} LIKE '{''.join(parts)}'", schema, now=NOW)
    rows = [row[0] for row in database.execute(compiled.sql, compiled.parameters)]
    pattern = as_regex(parts, flags=flags)
    assert rows == [text for text in texts if text and pattern.fullmatch(text)]


# --- Logic ----------------------------------------------------------------------------------------------------------

Record = dict[str, Any]
Condition = tuple[str, Callable[[Record], bool]]

RECORDS: list[Record] = [
    {
        "Id": f"001{number:012d}AAA",
        "Name": name,
        "NumberOfEmployees": count,
        "Active__c": number % 2,
        "Founded__c": founded,
    }
    for number, (name, count, founded) in enumerate(
        (name, count, founded)
        for name in (None, "a", "B", "Ä")
        for count in (None, 0, 2)
        for founded in (None, "2026-03-03", "2026-03-04")
    )
]
COMPARE = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def compared(field: str, sign: str, literal: str, value: Any, key: Callable[[Any], Any]) -> Condition:
    """Return a comparison as text and as Python understands it: null is on no side of anything."""
    if sign == "!=":
        _, holds = compared(field, "=", literal, value, key)
        return f"{field} != {literal}", lambda record: not holds(record)
    compare = COMPARE[sign]
    return (
        f"{field} {sign} {literal}",
        lambda record: record[field] is not None and compare(key(record[field]), key(value)),
    )


def in_list(field: str, negated: bool, values: list[Any]) -> Condition:
    listed = ", ".join("null" if value is None else f"'{value}'" for value in values)
    upper = {value and value.upper() for value in values}
    text = f"{field} {'NOT ' if negated else ''}IN ({listed})"
    return text, lambda record: ((record[field] and record[field].upper()) in upper) != negated


def is_null(field: str, negated: bool) -> Condition:
    return f"{field} {'!=' if negated else '='} null", lambda record: (record[field] is None) != negated


SIGNS = st.sampled_from([*COMPARE, "!="])
NAMES = st.sampled_from(["a", "A", "b", "ä", "c"])
LEAVES = st.one_of(
    st.builds(lambda sign, name: compared("Name", sign, f"'{name}'", name, str.upper), SIGNS, NAMES),
    st.builds(lambda sign, n: compared("NumberOfEmployees", sign, str(n), n, int), SIGNS, st.integers(-1, 3)),
    st.builds(
        lambda sign, day: compared("Founded__c", sign, {"2026-03-04": "TODAY"}.get(day, day), day, str),
        SIGNS,
        st.sampled_from(["2026-03-03", "2026-03-04"]),
    ),
    st.builds(
        lambda sign, on: compared("Active__c", sign, str(on), int(on), int), st.sampled_from(["=", "!="]), st.booleans()
    ),
    st.builds(in_list, st.just("Name"), st.booleans(), st.lists(NAMES | st.none(), min_size=1, max_size=3)),
    st.builds(is_null, st.sampled_from(["Name", "NumberOfEmployees", "Founded__c"]), st.booleans()),
)


def all_of(parts: list[Condition]) -> Condition:
    return " AND ".join(f"({text})" for text, _ in parts), lambda record: all(holds(record) for _, holds in parts)


def any_of(parts: list[Condition]) -> Condition:
    return " OR ".join(f"({text})" for text, _ in parts), lambda record: any(holds(record) for _, holds in parts)


def none_of(part: Condition) -> Condition:
    text, holds = part
    return f"NOT ({text})", lambda record: not holds(record)


CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(all_of, st.lists(inner, min_size=2, max_size=3)),
        st.builds(any_of, st.lists(inner, min_size=2, max_size=3)),
        st.builds(none_of, inner),
    ),
    max_leaves=8,
)


@pytest.fixture
def records(database: sqlite3.Connection) -> sqlite3.Connection:
    database.executemany(
        "INSERT INTO Account (Id, Name, NumberOfEmployees, Active__c, Founded__c, IsDeleted) "
        "VALUES (:Id, :Name, :NumberOfEmployees, :Active__c, :Founded__c, 0)",
        RECORDS,
    )
    return database


@THOROUGH
@given(CONDITIONS)
def test_conditions_agree_with_pythons_logic(records: sqlite3.Connection, schema: Schema, condition: Condition) -> None:
    text, holds = condition
    compiled = compile_query(f"SELECT Id FROM Account WHERE {text} ORDER BY Id", schema, now=NOW)
    found = [row[0] for row in records.execute(compiled.sql, compiled.parameters)]
    assert found == sorted(record["Id"] for record in RECORDS if holds(record))


# --- Anything at all ------------------------------------------------------------------------------------------------

KEYWORDS = (
    *(
        "SELECT",
        "FROM",
        "WHERE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "INCLUDES",
        "ORDER",
        "BY",
        "LIMIT",
        "GROUP",
        "HAVING",
    ),
    *("USING", "SCOPE", "FOR", "ALL", "ROWS", "TYPEOF", "ASC", "NULLS", "LAST", "null", "TRUE", "TODAY", "LAST_N_DAYS"),
)
SIGNS_AND_VALUES = (
    *("(", ")", ",", ".", ":", "=", "!=", "<", '"', ";", "--", "/*", "`"),
    *("'x'", "'001000000000001'", "'a\\_b'", "''", "1", "-2.5e3", "2026-03-04", "2026-03-04T00:00:00Z"),
)
SOME_NAMES = (
    *("Id", "Name", "Account", "Contact", "Parent", "Owner", "AccountId", "AnnualRevenue", "Regions__c", "CreatedDate"),
    *("Founded__c", "Active__c", "Who", "FIELDS", "COUNT"),
)
TOKENS = st.sampled_from([*KEYWORDS, *SIGNS_AND_VALUES, *SOME_NAMES])
VALID = (
    "SELECT Id, Owner.Name, a.Parent.Owner.Manager.Email FROM Account a WHERE (Name LIKE 'x\\_%' OR Regions__c "
    "INCLUDES ('North;South', 'East')) AND Id NOT IN (SELECT AccountId FROM Contact WHERE Email != null) AND "
    "CreatedDate = LAST_N_DAYS:30 AND (NOT AnnualRevenue IN (1, -2.5e3)) ORDER BY Rating DESC NULLS LAST, Name LIMIT 10"
)


def check_harmless(database: sqlite3.Connection, schema: Schema, soql: str) -> None:
    """Compile and run; a refusal is fine, anything else that goes wrong is raised."""
    try:
        compiled = compile_query(soql, schema, now=NOW)
    except SoqlError:
        return
    database.execute(compiled.sql, compiled.parameters).fetchall()


@SHARED
@given(st.lists(TOKENS, max_size=25).map(" ".join))
def test_any_words_compile_or_are_refused(database: sqlite3.Connection, schema: Schema, soql: str) -> None:
    check_harmless(database, schema, f"SELECT Id FROM Account {soql}")
    check_harmless(database, schema, soql)


@SHARED
@given(st.integers(0, len(VALID)), st.integers(0, 12), st.text(max_size=3) | TOKENS)
def test_a_damaged_query_compiles_or_is_refused(
    database: sqlite3.Connection, schema: Schema, start: int, length: int, put: str
) -> None:
    check_harmless(database, schema, VALID[:start] + put + VALID[start + length :])


def test_the_query_that_is_damaged_is_valid(database: sqlite3.Connection, schema: Schema) -> None:
    compiled = compile_query(VALID, schema, now=NOW)
    assert database.execute(compiled.sql, compiled.parameters).fetchall() == []
