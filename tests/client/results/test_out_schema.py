"""Types of columns, by describe and only by describe."""

from __future__ import annotations

import pickle

import pytest

from airflow_provider_sfbulk.client.results.schema import (
    ColumnKind,
    ColumnType,
    MisfitError,
    needed_describes,
    types_by_describe,
    widen,
)


def field(name, kind, **more):
    return {"name": name, "type": kind, "precision": 0, "scale": 0, "referenceTo": [], "relationshipName": None, **more}


def lookup(name, relationship, *parents):
    return field(name, "reference", relationshipName=relationship, referenceTo=list(parents))


CONTACT = {"fields": [lookup("AccountId", "Account", "Account"), field("LastName", "string")]}
ACCOUNT = {
    "fields": [
        field("Name", "string"),
        field("AnnualRevenue", "currency", precision=18, scale=0),
        lookup("OwnerId", "Owner", "User"),
        lookup("ParentId", "Parent", "Account"),
    ]
}
USER = {"fields": [field("CreatedDate", "datetime")]}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (field("F", "id"), ColumnType("F")),
        (field("F", "picklist"), ColumnType("F")),
        (field("F", "something new"), ColumnType("F")),
        (field("F", "boolean"), ColumnType("F", ColumnKind.BOOLEAN)),
        (field("F", "int", digits=8), ColumnType("F", ColumnKind.INTEGER)),
        (field("F", "long"), ColumnType("F", ColumnKind.INTEGER)),
        (field("F", "date"), ColumnType("F", ColumnKind.DATE)),
        (field("F", "datetime"), ColumnType("F", ColumnKind.DATETIME)),
        (field("F", "time"), ColumnType("F", ColumnKind.TIME)),
        (field("F", "double", precision=18, scale=0), ColumnType("F", ColumnKind.INTEGER)),
        (field("F", "double", precision=19, scale=0), ColumnType("F", ColumnKind.DECIMAL, 19, 0)),
        (field("F", "currency", precision=16, scale=2), ColumnType("F", ColumnKind.DECIMAL, 16, 2)),
        (field("F", "percent", precision=5, scale=5), ColumnType("F", ColumnKind.DECIMAL, 5, 5)),
        (field("F", "double", precision=39, scale=2), ColumnType("F", ColumnKind.DOUBLE)),
        (field("F", "double", precision=2, scale=3), ColumnType("F", ColumnKind.DOUBLE)),
        (field("F", "double"), ColumnType("F", ColumnKind.DOUBLE)),
        (field("F", "double", precision=None), ColumnType("F", ColumnKind.DOUBLE)),
    ],
)
def test_a_field_is_typed_as_described(described, expected):
    assert types_by_describe("X", ["F"], {"X": {"fields": [described]}}) == [expected]


def test_columns_are_found_in_any_case_and_keep_their_names():
    assert types_by_describe("Account", ["annualrevenue", "NAME"], {"Account": ACCOUNT}) == [
        ColumnType("annualrevenue", ColumnKind.INTEGER),
        ColumnType("NAME"),
    ]


def test_describes_are_asked_for_step_by_step():
    columns = ["LastName", "Account.AnnualRevenue", "account.Parent.Owner.CreatedDate"]
    describes: dict = {}
    asked = []
    while missing := needed_describes("Contact", columns, describes):
        asked.append(missing)
        describes |= {name: {"Contact": CONTACT, "Account": ACCOUNT, "User": USER}[name] for name in missing}
    assert asked == [{"Contact"}, {"Account"}, {"User"}]
    assert [each.kind for each in types_by_describe("Contact", columns, describes)] == [
        ColumnKind.STRING,
        ColumnKind.INTEGER,
        ColumnKind.DATETIME,
    ]


def test_what_cannot_be_resolved_is_text_and_asks_for_nothing():
    many = [f"Object{number}__c" for number in range(60)]
    task = {"fields": [lookup("WhoId", "Who", *many), lookup("WhatId", "What", "Account")]}
    describes = {"Task": task, "Account": {}, "Name": {}}
    columns = ["Who.CreatedDate", "What.AnnualRevenue", "expr0", "Nowhere.Owner.Name", ""]
    assert needed_describes("Task", columns, describes) == set()
    assert types_by_describe("Task", columns, describes) == [ColumnType(each) for each in columns]


def test_a_field_over_a_polymorphic_relationship_is_typed_as_all_its_objects_have_it():
    def objects(kinds):
        return {name: {"fields": [{"name": "Since", "type": kind}] if kind else []} for name, kind in kinds.items()}

    task = {"fields": [lookup("WhoId", "Who", "Contact", "Lead"), lookup("OwnerId", "Owner", "Group", "User")]}
    columns = ["Who.Since", "owner.since"]
    describes = {"Task": task}
    assert needed_describes("Task", columns, describes) == {"Name"}
    # Of what SOQL itself sees no more need be known.
    known = describes | objects({"Name": "date"})
    assert needed_describes("Task", columns, known) == set()
    assert types_by_describe("Task", columns, known) == [ColumnType(each, ColumnKind.DATE) for each in columns]
    # Else the objects are asked, and agree or not.
    describes |= {"Name": {}}
    assert needed_describes("Task", columns, describes) == {"Contact", "Lead", "Group", "User"}
    describes |= objects({"Contact": "date", "Lead": "datetime", "Group": None, "User": "boolean"})
    assert needed_describes("Task", columns, describes) == set()
    assert types_by_describe("Task", columns, describes) == [
        ColumnType("Who.Since"),
        ColumnType("owner.since", ColumnKind.BOOLEAN),
    ]


def test_a_path_goes_on_behind_a_polymorphic_relationship():
    case = {"fields": [lookup("OwnerId", "Owner", "Group", "User")]}
    user = {"fields": [lookup("ProfileId", "Profile", "Profile")]}
    profile = {"fields": [{"name": "Licensed", "type": "boolean"}]}
    describes = {"Case": case, "Name": user, "Profile": profile}
    assert needed_describes("Case", ["Owner.Profile.Licensed"], describes) == set()
    assert types_by_describe("Case", ["Owner.Profile.Licensed"], describes) == [
        ColumnType("Owner.Profile.Licensed", ColumnKind.BOOLEAN)
    ]


def test_types_are_given_without_any_describe():
    assert types_by_describe("Task", ["A", "B.C"], {}) == [ColumnType("A"), ColumnType("B.C")]


def test_a_widened_column_is_a_float_and_the_others_stay():
    types = [ColumnType("A", ColumnKind.INTEGER), ColumnType("B", ColumnKind.DECIMAL, 5, 2)]
    assert widen(types, "B") == [ColumnType("A", ColumnKind.INTEGER), ColumnType("B", ColumnKind.DOUBLE)]


def test_a_misfit_survives_pickling():
    error = pickle.loads(pickle.dumps(MisfitError("text", column="A", row=3)))
    assert (str(error), error.column, error.row) == ("text", "A", 3)
