"""What is refused, with which code and which words."""

from __future__ import annotations

import pickle
import sqlite3
from datetime import UTC, datetime

import pytest

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.soql import SoqlError, compile_query

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ACCOUNTS = "(SELECT AccountId FROM Contact)"


def refusal(schema: Schema, soql: str) -> SoqlError:
    with pytest.raises(SoqlError) as raised:
        compile_query(soql, schema, now=NOW)
    return raised.value


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        # what no bulk query can do, as seen from Salesforce
        ("SELECT BillingAddress FROM Account", "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        ("SELECT Account.Where__c FROM Contact", "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        (
            "SELECT Id, (SELECT Id FROM Contacts WHERE Name LIKE 'x%' ORDER BY Name LIMIT 3) FROM Account",
            "API_ERROR",
            "Aggregate Relationships not supported in Bulk V2 Query with CSV content type",
        ),
        ("SELECT Id FROM TaskStatus", "INVALIDENTITY", "Entity 'TaskStatus' is not supported by the Bulk API."),
        ("SELECT Id FROM taskstatus", "INVALIDENTITY", "Entity 'TaskStatus' is not supported by the Bulk API."),
        ("SELECT Body FROM Attachment", "API_ERROR", "Blob field not supported in Bulk V2 Query with CSV content type"),
        # the same, in our words
        ("SELECT COUNT() FROM Account", "API_ERROR", "Aggregate functions not supported in Bulk Query"),
        (
            "SELECT FORMAT(SUM(AnnualRevenue)) FROM Account",
            "API_ERROR",
            "Aggregate functions not supported in Bulk Query",
        ),
        ("SELECT COUNT(Id) c FROM Account", "API_ERROR", "Aggregate functions not supported in Bulk Query"),
        ("SELECT max(AnnualRevenue) FROM Account", "API_ERROR", "Aggregate functions not supported in Bulk Query"),
        ("SELECT Id FROM Account ORDER BY COUNT(Id)", "API_ERROR", "Aggregate functions not supported in Bulk Query"),
        ("SELECT Name FROM Account GROUP BY Name", "API_ERROR", "GROUP BY not supported in Bulk Query"),
        ("SELECT Name FROM Account GROUP BY ROLLUP(Name, Rating)", "API_ERROR", "GROUP BY not supported in Bulk Query"),
        ("SELECT Name FROM Account HAVING COUNT(Id) > 1", "API_ERROR", "HAVING not supported in Bulk Query"),
        ("SELECT Id FROM Account LIMIT 5 OFFSET 10", "API_ERROR", "OFFSET not supported in Bulk Query"),
        (
            "SELECT TYPEOF Who WHEN Contact THEN Email, Name WHEN Lead THEN Name ELSE Id END FROM Task",
            "API_ERROR",
            "TYPEOF not supported in Bulk Query",
        ),
        # FIELDS
        *(
            (
                f"SELECT FIELDS({which}) FROM Account LIMIT 200",
                "MALFORMED_QUERY",
                "The SOQL FIELDS function is not supported with an unbounded set of fields in this API.",
            )
            for which in ("ALL", "CUSTOM", "all")
        ),
        ("SELECT Id, FIELDS(STANDARD) FROM Account", "INVALID_FIELD", "duplicate field selected: Id"),
        # the select list
        ("SELECT Name, Id, name FROM Account", "MALFORMED_QUERY", "duplicate field selected: Name"),
        ("SELECT Name, a.Name FROM Account a", "MALFORMED_QUERY", "duplicate field selected: Name"),
        ("SELECT Parent.Id, PARENT.ID FROM Account", "MALFORMED_QUERY", "duplicate field selected: Parent.Id"),
        # clauses
        ("SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed in this context"),
        ("SELECT Id FROM Account FOR VIEW", "MALFORMED_QUERY", "FOR VIEW not allowed in this context"),
        (
            "SELECT Id FROM Account LIMIT 1 FOR reference",
            "MALFORMED_QUERY",
            "FOR REFERENCE not allowed in this context",
        ),
        ("SELECT Id FROM Account FOR UPDATE", "MALFORMED_QUERY", "FOR UPDATE not allowed in this context"),
        ("SELECT Id FROM Account UPDATE TRACKING", "MALFORMED_QUERY", "UPDATE TRACKING not allowed in this context"),
        (
            "SELECT Id FROM Account WITH SECURITY_ENFORCED",
            "MALFORMED_QUERY",
            "WITH SECURITY_ENFORCED not allowed in this context",
        ),
        ("SELECT Id FROM Account USING SCOPE team", "INVALID_QUERY_SCOPE", "scope 'team' is not supported for Account"),
        ("SELECT Id FROM Contact USING SCOPE mine", "INVALID_QUERY_SCOPE", "scope 'mine' is not supported for Contact"),
        # the whole
        ("", "MALFORMED_QUERY", "A query string has to be specified"),
        (" \n", "MALFORMED_QUERY", "A query string has to be specified"),
        (
            "SELECT Id FROM Account" + " " * limits.SOQL_CHARACTERS,
            "MALFORMED_QUERY",
            "SOQL statements cannot be longer than 100000 characters.",
        ),
    ],
)
def test_what_a_query_job_cannot_do_is_refused(schema: Schema, soql: str, code: str, message: str) -> None:
    error = refusal(schema, soql)
    assert (error.error_code, error.message) == (code, message)


@pytest.mark.parametrize(
    ("soql", "code", "column", "reason"),
    [
        # unknown names
        (
            "SELECT Id FROM Foo",
            "INVALID_TYPE",
            16,
            "sObject type 'Foo' is not supported. If you are attempting to use a custom object",
        ),
        (
            "SELECT Id, Foo FROM Account",
            "INVALID_FIELD",
            12,
            "No such column 'Foo' on entity 'Account'. If you are attempting",
        ),
        ("SELECT Parent.Foo FROM Account", "INVALID_FIELD", 8, "No such column 'Foo' on entity 'Account'."),
        ("SELECT Owner.Foo FROM Account", "INVALID_FIELD", 8, "No such column 'Foo' on entity 'User'."),
        ("SELECT Id FROM Account WHERE foo = 1", "INVALID_FIELD", 30, "No such column 'foo' on entity 'Account'."),
        ("SELECT Id FROM Account ORDER BY Foo", "INVALID_FIELD", 33, "No such column 'Foo' on entity 'Account'."),
        (
            "SELECT Id FROM Account a WHERE b.Id = null",
            "INVALID_FIELD",
            32,
            "Didn't understand relationship 'b' in field path.",
        ),
        (
            "SELECT Foo__r.Name FROM Account",
            "INVALID_FIELD",
            8,
            "Didn't understand relationship 'Foo__r' in field path. If you",
        ),
        (
            "SELECT OwnerId.Name FROM Account",
            "INVALID_FIELD",
            8,
            "Didn't understand relationship 'OwnerId' in field path.",
        ),
        ("SELECT Account.Contacts.Id FROM Account", "INVALID_FIELD", 8, "Didn't understand relationship 'Contacts'"),
        ("SELECT Who.Company FROM Task", "INVALID_FIELD", 8, "No such column 'Company' on entity 'Name'."),
        ("SELECT Who.Title FROM Task", "INVALID_FIELD", 8, "No such column 'Title' on entity 'Name'."),
        (
            "SELECT Who.Account.Name FROM Task",
            "INVALID_FIELD",
            8,
            "Didn't understand relationship 'Account' in field path.",
        ),
        ("SELECT " + "ReportsTo." * 6 + "Id FROM Contact", "MALFORMED_QUERY", 8, "has more than 5 levels"),
        # aliases
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", 8, "only aggregate expressions use field aliasing"),
        ("SELECT Id Name FROM Account", "MALFORMED_QUERY", 8, "only aggregate expressions use field aliasing"),
        # syntax
        ("SELECT", "MALFORMED_QUERY", 6, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM", "MALFORMED_QUERY", 14, "unexpected token: '<EOF>'"),
        ("SELECT Id, FROM Account", "MALFORMED_QUERY", 12, "unexpected token: 'FROM'"),
        ("SELECT FROM Account", "MALFORMED_QUERY", 8, "unexpected token: 'FROM'"),
        ("SELECT * FROM Account", "MALFORMED_QUERY", 8, "unexpected token: '*'"),
        ("SELECT Id FROM Account;", "MALFORMED_QUERY", 23, "unexpected token: ';'"),
        ("DELETE FROM Account", "MALFORMED_QUERY", 1, "unexpected token: 'DELETE'"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", 28, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name", "MALFORMED_QUERY", 33, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE (Name = 'x'", "MALFORMED_QUERY", 40, "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account WHERE Name = 'x')", "MALFORMED_QUERY", 40, "unexpected token: ')'"),
        ("SELECT Id FROM Account WHERE Name == 'x'", "MALFORMED_QUERY", 36, "unexpected token: '='"),
        ('SELECT Id FROM Account WHERE Name = "x"', "MALFORMED_QUERY", 37, "unexpected token: '\"'"),
        ("SELECT Id FROM Account WHERE Name = x", "MALFORMED_QUERY", 37, "unexpected token: 'x'"),
        ("SELECT Id FROM Account WHERE Name NOT LIKE 'x'", "MALFORMED_QUERY", 39, "unexpected token: 'LIKE'"),
        ("SELECT Id FROM Account WHERE Name IN 'x'", "MALFORMED_QUERY", 38, "unexpected token: ''x''"),
        ("SELECT Id FROM Account WHERE Name IN ()", "MALFORMED_QUERY", 39, "unexpected token: ')'"),
        (
            "SELECT Id FROM Account WHERE Name = 'x",
            "MALFORMED_QUERY",
            37,
            "line 1:38 mismatched character '<EOF>' expecting '''",
        ),
        (
            "SELECT Id FROM Account WHERE Name = :name",
            "MALFORMED_QUERY",
            38,
            "Bind variables only allowed in Apex code",
        ),
        ("SELECT Id FROM Account WHERE Name = Name", "MALFORMED_QUERY", 37, "unexpected token: 'Name'"),
        ("SELECT Id FROM Account ORDER BY Name UP", "MALFORMED_QUERY", 38, "unexpected token: 'UP'"),
        ("SELECT Id FROM Account LIMIT 1 WHERE Id = null", "MALFORMED_QUERY", 32, "unexpected token: 'WHERE'"),
        ("SELECT Id FROM Account, Contact", "MALFORMED_QUERY", 23, "unexpected token: ','"),
        ("SELECT Id FROM Account WHERE Id = null ORDER Name", "MALFORMED_QUERY", 46, "unexpected token: 'Name'"),
        ("SELECT Ŀd FROM Account", "MALFORMED_QUERY", 8, "unexpected token: 'Ŀ'"),
        ("SELECT Id FROM Account LIMIT ٣", "MALFORMED_QUERY", 30, "unexpected token: '٣'"),
        # "You must specify parentheses when nesting operators"
        (
            "SELECT Id FROM Account WHERE Id=null AND Id=null OR Id=null",
            "MALFORMED_QUERY",
            50,
            "unexpected token: 'OR'",
        ),
        (
            "SELECT Id FROM Account WHERE Id=null OR Id=null AND Id=null",
            "MALFORMED_QUERY",
            49,
            "unexpected token: 'AND'",
        ),
        ("SELECT Id FROM Account WHERE NOT Id=null AND Id=null", "MALFORMED_QUERY", 42, "unexpected token: 'AND'"),
        ("SELECT Id FROM Account WHERE Id=null AND NOT Id=null", "MALFORMED_QUERY", 42, "unexpected token: 'NOT'"),
        # limits
        ("SELECT Id FROM Account LIMIT 2147483648", "MALFORMED_QUERY", 30, "numeric value out of range: 2147483648"),
        ("SELECT Id FROM Account LIMIT -1", "MALFORMED_QUERY", 30, "unexpected token: '-1'"),
        ("SELECT Id FROM Account LIMIT 1.5", "MALFORMED_QUERY", 30, "unexpected token: '1.5'"),
        (
            "SELECT Id FROM Account ORDER BY " + ",".join(["Id"] * 33),
            "MALFORMED_QUERY",
            33,
            "ORDER BY has more than 32 fields",
        ),
        # functions that this org has not
        ("SELECT toLabel(Name) FROM Account", "MALFORMED_QUERY", 8, "toLabel() does not work on field 'Name'"),
        ("SELECT FORMAT(BillingAddress) FROM Account", "MALFORMED_QUERY", 8, "FORMAT() does not work on field"),
        (
            "SELECT DAY_ONLY(CreatedDate) FROM Account",
            "MALFORMED_QUERY",
            8,
            "can only be selected together with GROUP BY",
        ),
        (
            "SELECT Id FROM Account WHERE AnnualRevenue > USD5",
            "MALFORMED_QUERY",
            46,
            "currency literals such as USD5000",
        ),
        ("SELECT Id FROM Contact c, a.Account b", "MALFORMED_QUERY", 25, "unexpected token: ','"),
        ("SELECT Id FROM Contact c, c.Nope n WHERE n.Id = null", "INVALID_FIELD", 42, "Didn't understand relationship"),
        (
            "SELECT Id FROM Account WHERE DISTANCE(BillingAddress) < 20",
            "MALFORMED_QUERY",
            30,
            "DISTANCE() is not supported",
        ),
        (
            "SELECT Id FROM Account WHERE DISTANCE(Where__c, GEOLOCATION(1, 2), 'mi') < 3",
            "MALFORMED_QUERY",
            30,
            "DISTANCE() is not supported by the local org",
        ),
        ("SELECT FIELDS(SOME) FROM Account", "MALFORMED_QUERY", 8, "Invalid field: 'SOME'"),
        # fields that cannot be filtered or sorted
        (
            "SELECT Id FROM Account WHERE Description LIKE 'x%'",
            "INVALID_FIELD",
            30,
            "field 'Description' can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Account WHERE Parent.Description = null",
            "INVALID_FIELD",
            30,
            "field 'Description' can not be filtered in",
        ),
        (
            "SELECT Id FROM Account WHERE Secret__c = 'x'",
            "INVALID_FIELD",
            30,
            "field 'Secret__c' can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Attachment WHERE Body = null",
            "INVALID_FIELD",
            33,
            "field 'Body' can not be filtered in a query call",
        ),
        (
            "SELECT Id FROM Account WHERE BillingAddress = 'x'",
            "INVALID_FIELD",
            30,
            "Address fields can only be filtered using Distance",
        ),
        (
            "SELECT Id FROM Account WHERE Where__c = null",
            "INVALID_FIELD",
            30,
            "Geolocation fields can only be filtered using Distance",
        ),
        (
            "SELECT Id FROM Account ORDER BY Description",
            "MALFORMED_QUERY",
            33,
            "field 'Description' can not be sorted in a query call",
        ),
        (
            "SELECT Id FROM Account ORDER BY Regions__c",
            "MALFORMED_QUERY",
            33,
            "field 'Regions__c' can not be sorted in a query call",
        ),
        (
            "SELECT Id FROM Account ORDER BY BillingAddress",
            "MALFORMED_QUERY",
            33,
            "field 'BillingAddress' can not be sorted in",
        ),
    ],
)
def test_a_refusal_shows_the_place(schema: Schema, soql: str, code: str, column: int, reason: str) -> None:
    error = refusal(schema, soql)
    empty, excerpt, caret, where, *rest = error.message.split("\n")
    assert (error.error_code, empty, where) == (code, "", f"ERROR at Row:1:Column:{column}")
    assert reason in "\n".join(rest)
    assert caret == " " * (len(caret) - 1) + "^"
    assert excerpt[len(caret) - 1 : len(caret)] == soql[column - 1 : column].rstrip()


def test_the_message_is_laid_out_as_salesforce_does(schema: Schema) -> None:
    assert refusal(schema, "SELECT Foo FROM Account").message == (
        "\nSELECT Foo FROM Account\n       ^\nERROR at Row:1:Column:8\n"
        "No such column 'Foo' on entity 'Account'. If you are attempting to use a custom field, be sure to append the "
        "'__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
    )


def test_a_refusal_of_a_later_row_shows_that_row(schema: Schema) -> None:
    error = refusal(schema, "SELECT Id\nFROM Account\n  WHERE Active__c = 'TRUE'\n")
    assert error.message == (
        "\n  WHERE Active__c = 'TRUE'\n        ^\nERROR at Row:3:Column:9\n"
        "value of filter criterion for field 'Active__c' must be of type boolean and should not be enclosed in quotes"
    )


def test_a_long_row_is_shown_in_part(schema: Schema) -> None:
    soql = f"SELECT Id FROM Account WHERE {'Name = null AND ' * 100}Foo = null"
    _, excerpt, caret, where, _ = refusal(schema, soql).message.split("\n")
    assert len(excerpt) <= 80
    assert excerpt.startswith("AND Name = null AND")
    assert excerpt[len(caret) - 1 :].startswith("Foo = null")
    assert where == "ERROR at Row:1:Column:1630"


QUOTED, BARE = "and should be enclosed in quotes", "and should not be enclosed in quotes"


@pytest.mark.parametrize(
    ("condition", "field", "demand"),
    [
        ("Name = 5", "Name", f"string {QUOTED}"),
        ("Name = TRUE", "Name", f"string {QUOTED}"),
        ("Name > 2026-03-04", "Name", f"string {QUOTED}"),
        ("Name = TODAY", "Name", f"string {QUOTED}"),
        ("Name LIKE 5", "Name", f"string {QUOTED}"),
        ("Name LIKE null", "Name", f"string {QUOTED}"),
        ("Name IN ('x', 5)", "Name", f"string {QUOTED}"),
        ("Parent.Name NOT IN (5)", "Name", f"string {QUOTED}"),
        ("Rating = 5", "Rating", f"string {QUOTED}"),
        ("Regions__c INCLUDES (5)", "Regions__c", f"string {QUOTED}"),
        ("Id = 5", "Id", f"ID {QUOTED}"),
        ("OwnerId = FALSE", "OwnerId", f"ID {QUOTED}"),
        ("AnnualRevenue = '5'", "AnnualRevenue", f"double {BARE}"),
        ("AnnualRevenue > ''", "AnnualRevenue", f"double {BARE}"),
        ("AnnualRevenue = TRUE", "AnnualRevenue", f"double {BARE}"),
        ("AnnualRevenue IN (1, '5')", "AnnualRevenue", f"double {BARE}"),
        ("NumberOfEmployees = '5'", "NumberOfEmployees", f"int {BARE}"),
        ("Active__c = 'true'", "Active__c", f"boolean {BARE}"),
        ("Active__c = 1", "Active__c", f"boolean {BARE}"),
        ("Active__c = TODAY", "Active__c", f"boolean {BARE}"),
        ("Founded__c = '2026-03-04'", "Founded__c", f"date {BARE}"),
        ("Founded__c = 2026-03-04T00:00:00Z", "Founded__c", f"date {BARE}"),
        ("Founded__c = 20260304", "Founded__c", f"date {BARE}"),
        ("CreatedDate = '2026-03-04T00:00:00Z'", "CreatedDate", f"dateTime {BARE}"),
        ("CreatedDate > 2026-03-04", "CreatedDate", f"dateTime {BARE}"),
        ("Opens__c = '07:00:00Z'", "Opens__c", f"time {BARE}"),
        ("Opens__c = TODAY", "Opens__c", f"time {BARE}"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(schema: Schema, condition: str, field: str, demand: str) -> None:
    error = refusal(schema, f"SELECT Id FROM Account WHERE {condition}")
    reason = error.message.split("\n")[-1]
    assert error.error_code == "INVALID_FIELD"
    assert reason == f"value of filter criterion for field '{field}' must be of type {demand}"


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("Id LIKE '001%'", "invalid operator on id field"),
        ("AnnualRevenue LIKE '5%'", "invalid operator on double field"),
        ("CreatedDate LIKE '2026%'", "invalid operator on dateTime field"),
        ("Active__c > FALSE", "invalid operator on boolean field"),
        ("Regions__c LIKE 'N%'", "invalid operator on multi-select picklist field"),
        ("Regions__c < 'N'", "invalid operator on multi-select picklist field"),
        ("Regions__c IN ('North')", "invalid operator on multi-select picklist field"),
        ("Name INCLUDES ('x')", "invalid operator on string field"),
        ("Rating EXCLUDES ('Hot')", "invalid operator on string field"),
        ("Name > null", "invalid operator on string field"),
        ("Id = 'abc'", "invalid ID field: abc"),
        ("Id = '00100000000000b!'", "invalid ID field: 00100000000000b!"),
        ("OwnerId IN ('005000000000001AAA', 'me')", "invalid ID field: me"),
        ("Id = '0010000000000012'", "invalid ID field: 0010000000000012"),
        ("Id = '001000000000001BAA'", "invalid ID field: 001000000000001BAA"),
    ],
)
def test_an_operator_or_id_that_makes_no_sense_is_refused(schema: Schema, condition: str, reason: str) -> None:
    error = refusal(schema, f"SELECT Id FROM Account WHERE {condition}")
    assert (error.error_code, error.message.split("\n")[-1]) == ("INVALID_QUERY_FILTER_OPERATOR", reason)


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (r"Name = 'a\d'", r"Invalid string literal 'a\d'. Illegal character sequence '\d' in string literal."),
        (r"Name = 'a\_'", r"Invalid string literal 'a\_'. Illegal character sequence '\_' in string literal."),
        (r"Name IN ('\%')", r"Invalid string literal '\%'. Illegal character sequence '\%' in string literal."),
        (r"Name LIKE '\x'", r"Invalid string literal '\x'. Illegal character sequence '\x' in string literal."),
        (r"Name = '\u00g1'", r"Invalid string literal '\u00g1'. Illegal character sequence '\u' in string literal."),
        (r"Name = '\ud83d'", "It has half a character."),
        (r"Name = 'x\udc00\ud83d'", "It has half a character."),
        (f"Name = '{'x' * 4001}'", "string literal is longer than 4000 characters"),
        (f"Name LIKE '{'x' * 4001}'", "string literal is longer than 4000 characters"),
        ("AnnualRevenue = 1e999", "numeric value out of range: 1e999"),
        (f"AnnualRevenue = {'9' * 5000}", "numeric value out of range: 999"),
        ("Founded__c = 2026-02-29", "Invalid date: 2026-02-29"),
        ("Founded__c = 1699-12-31", "Invalid date: 1699-12-31"),
        ("Founded__c = 4001-01-01", "Invalid date: 4001-01-01"),
        ("CreatedDate = 2026-03-04T24:00:01Z", "Invalid date: 2026-03-04T24:00:01Z"),
        ("CreatedDate = 9999-12-31T23:59:59-23:00", "Invalid date: 9999-12-31T23:59:59-23:00"),
        ("CreatedDate = 0001-01-01T00:00:00+01:00", "Invalid date: 0001-01-01T00:00:00+01:00"),
        ("Opens__c = 25:00:00Z", "Invalid time: 25:00:00Z"),
        ("CreatedDate = 2026-03-04T05:06:07", "unexpected token: 'T05'"),
        ("CreatedDate = 2026-03-04T05:06:07.123456Z", "unexpected token: 'T05'"),
        ("CreatedDate = LAST_N_DAYS", "unexpected token: 'LAST_N_DAYS'"),
        ("CreatedDate = TODAY:3", "unexpected token: 'TODAY'"),
        ("CreatedDate = LAST_N_DAYS:-1", "unexpected token: '-1'"),
        ("CreatedDate = LAST_N_DAYS:1.5", "unexpected token: '1.5'"),
        ("CreatedDate = LAST_N_DAYS:9999999", "Invalid date: LAST_N_DAYS:9999999"),
        ("CreatedDate = LAST_N_YEARS:2026", "Invalid date: LAST_N_YEARS:2026"),
        ("CreatedDate = NEXT_N_DAYS:9999999999", "numeric value out of range: 9999999999"),
        ("CreatedDate = LAST_CENTURY", "unexpected token: 'LAST_CENTURY'"),
        ("CreatedDate = THIS_FISCAL_MONTH", "unexpected token: 'THIS_FISCAL_MONTH'"),
        ("Active__c = maybe", "unexpected token: 'maybe'"),
    ],
)
def test_a_value_that_is_none_is_refused(schema: Schema, condition: str, reason: str) -> None:
    error = refusal(schema, f"SELECT Id FROM Account WHERE {condition}")
    assert error.error_code == "MALFORMED_QUERY"
    assert reason in error.message.split("\n")[-1]


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (f"Name = 'x' OR Id IN {ACCOUNTS}", "Semi join sub-selects are not allowed with the 'OR' operator"),
        (f"NOT Id IN {ACCOUNTS}", "Semi join sub-selects are not allowed with the 'NOT' operator"),
        (f"NOT (Name = 'x' AND Id IN {ACCOUNTS})", "Semi join sub-selects are not allowed with the 'NOT' operator"),
        (
            f"Id IN {ACCOUNTS} AND Id IN {ACCOUNTS} AND Id NOT IN {ACCOUNTS}",
            "Maximum 2 semi join sub-selects are allowed",
        ),
        (
            "Id IN (SELECT AccountId FROM Contact WHERE Id IN (SELECT WhoId FROM Task))",
            "Nesting of semi join sub-selects is not supported",
        ),
        ("Id IN (SELECT ParentId FROM Account)", "The inner and outer selects should not be on the same object type"),
        ("Id IN (SELECT WhatId FROM Task)", "Entity 'Task' is not supported for semi join inner selects"),
        (
            "Name IN (SELECT AccountId FROM Contact)",
            "The left operand 'Name' of a semi join must be an id or reference field",
        ),
        (
            "Parent.Id IN (SELECT AccountId FROM Contact)",
            "The left operand 'Parent.Id' of a semi join must be an id or reference",
        ),
        (
            "Id IN (SELECT Name FROM Contact)",
            "The selected field 'Name' of a sub-select must be an id or reference field",
        ),
        (
            "Id IN (SELECT Account.Id FROM Contact)",
            "The selected field 'Account.Id' of a sub-select must be an id or reference",
        ),
        ("Id IN (SELECT AccountId, Id FROM Contact)", "A semi join sub-select must select a single field"),
        ("Id IN (SELECT AccountId FROM Contact LIMIT 1)", "not supported in a semi join sub-select"),
        ("Id IN (SELECT AccountId FROM Contact ORDER BY Id)", "not supported in a semi join sub-select"),
        (
            "Id IN (SELECT Id FROM Contact)",
            "The selected field 'Id' in the subquery and the left operand field in the where expression in the outer "
            "query 'Id' should point to the same object type",
        ),
        (
            "OwnerId IN (SELECT AccountId FROM Contact)",
            "The selected field 'AccountId' in the subquery and the left operand field in the where expression in the "
            "outer query 'OwnerId' should point to the same object type",
        ),
    ],
)
def test_the_rules_of_semi_joins_hold(schema: Schema, condition: str, reason: str) -> None:
    error = refusal(schema, f"SELECT Id FROM Account WHERE {condition}")
    assert error.error_code == "MALFORMED_QUERY"
    assert reason in error.message.split("\n")[-1]


@pytest.mark.parametrize(
    "deeper",
    [
        "(Name != 'ä' OR (Name = 'ä' AND {}))",
        "(({} AND Regions__c INCLUDES ('x')) OR Name = null)",
        "(NOT {})",
    ],
)
@pytest.mark.parametrize("around", ["{}", "Id IN (SELECT AccountId FROM Contact WHERE Account.Name = 'x') AND {}"])
def test_however_deep_a_condition_sqlite_can_parse_it_or_it_is_refused(
    database: sqlite3.Connection, schema: Schema, deeper: str, around: str
) -> None:
    condition, refusals = "Active__c = TRUE", 0
    for _ in range(30):
        condition = deeper.format(condition)
        try:
            compiled = compile_query(f"SELECT Id FROM Account WHERE {around.format(condition)}", schema, now=NOW)
        except SoqlError as error:
            assert error.error_code == "QUERY_TOO_COMPLICATED"  # noqa: PT017 - either outcome is right
            refusals += 1
        else:
            assert database.execute(compiled.sql, compiled.parameters).fetchall() == []
    assert 0 < refusals < 25


def test_thousands_of_levels_are_refused(schema: Schema) -> None:
    condition = "Id = null"
    for _ in range(2_000):
        condition = f"(Id = null OR (Id = null AND {condition}))"
    assert refusal(schema, f"SELECT Id FROM Account WHERE {condition}").error_code == "QUERY_TOO_COMPLICATED"


def test_parentheses_around_nothing_new_are_no_levels(schema: Schema) -> None:
    soql = f"SELECT Id FROM Account WHERE {'(' * 40_000}Id = null{')' * 40_000}"
    assert compile_query(soql, schema, now=NOW).parameters == ()


def test_an_error_survives_pickling(schema: Schema) -> None:
    error = refusal(schema, "SELECT Foo FROM Account")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.error_code, copy.message, str(copy)) == (error.error_code, error.message, str(error))
