"""From SOQL text to :mod:`~.syntax`. The grammar is ``soql.lark`` beside this file.

The tree is built while parsing, so that no nesting of a query can exhaust Python's stack here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from threading import Lock
from typing import Final, TypeVar

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from airflow_provider_sfbulk.local_org.soql.errors import Place, Refused, malformed, unexpected
from airflow_provider_sfbulk.local_org.soql.syntax import (
    And,
    Call,
    ChildItem,
    Comparison,
    Condition,
    FieldItem,
    Item,
    Kind,
    Limit,
    Not,
    Operand,
    Or,
    Ordering,
    Path,
    Select,
    SemiJoin,
    TypeofItem,
    Value,
)

_T = TypeVar("_T")

_RESERVED: Final = frozenset(
    {
        *(
            "AND",
            "ASC",
            "DESC",
            "EXCLUDES",
            "FIRST",
            "FROM",
            "GROUP",
            "HAVING",
            "IN",
            "INCLUDES",
            "LAST",
            "LIKE",
            "LIMIT",
        ),
        *("NOT", "NULL", "NULLS", "OR", "SELECT", "USING", "WHERE", "WITH"),
    }
)
"""Words that cannot be an alias ("Alias Notation", SOQL and SOSL Reference)."""

_NEVER_A_FIELD: Final = frozenset({"FROM", "NOT", "SELECT", "WHERE"})
"""Of these, the ones that no field or relationship has as its name (``Group`` and the like are relationships)."""

_KINDS: Final = {
    "STRING": Kind.STRING,
    "NUMBER": Kind.NUMBER,
    "DATE": Kind.DATE,
    "DATETIME": Kind.DATETIME,
    "TIME": Kind.TIME,
}


_BUILDING: Final = Lock()
"""Held while the parser is built, so that simultaneous first queries do not each build one."""


def parse(text: str) -> Select:
    """Parse a query.

    :raises Refused: ``MALFORMED_QUERY`` when it is not SOQL
    """
    with _BUILDING:
        parser = _parser()
    try:
        # Lark cannot say that the embedded builder's result is what comes out.
        return parser.parse(text)  # type: ignore[return-value]
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from error


@cache
def _parser() -> Lark:
    """Build the parser, once: it takes some tenths of a second, a query then takes a millisecond."""
    grammar = resources.files(__package__).joinpath("soql.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=_Builder(), maybe_placeholders=False)


def _syntax_error(text: str, error: UnexpectedInput) -> Refused:
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        # A NOT where only a name can stand was taken for one, and the fault seen a token too late. At the very start
        # Lark's history is [None].
        taken = [t for t in error.token_history or [] if t and t.type == "NAME" and t.upper() in _NEVER_A_FIELD]
        token = (taken or [error.token])[0]
        return unexpected(str(token), _place(token))
    if isinstance(error, UnexpectedCharacters):
        place = Place(error.line, error.column)
        found = text[error.pos_in_stream or 0]
        if found == "'":  # a string that has an end is a token, so this one has none
            return malformed(f"line {place.row}:{len(text)} mismatched character '<EOF>' expecting '''", place)
        return unexpected(found, place)
    rows = text.split("\n")
    return unexpected("<EOF>", Place(len(rows), max(1, len(rows[-1]))))


def _place(token: Token) -> Place:
    return Place(token.line or 1, token.column or 1)


# Clauses, until the SELECT takes them.


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    alias: str | None
    joined: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, slots=True)
class _Alias:
    name: str


@dataclass(frozen=True, slots=True)
class _Scope:
    name: str


@dataclass(frozen=True, slots=True)
class _Where:
    condition: Condition


@dataclass(frozen=True, slots=True)
class _Order:
    orderings: tuple[Ordering, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class _Having:
    condition: Condition


@dataclass(frozen=True, slots=True)
class _Offset:
    number: Limit


@dataclass(frozen=True, slots=True)
class _When:
    """``WHEN object THEN fields``, or with no object ``ELSE fields``."""

    sobject: str | None
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Extra:
    words: str


def _one(kind: type[_T], clauses: tuple[object, ...]) -> _T | None:
    return next((clause for clause in clauses if isinstance(clause, kind)), None)


@v_args(inline=True)
class _Builder(Transformer[Token, object]):
    """Makes the tree: one method per rule of the grammar. Tokens of fixed words are not passed unless named there."""

    def start(self, select: Select) -> Select:
        return select

    def select(self, items: tuple[Item, ...], source: _Source, *clauses: object) -> Select:
        scope, where, order = _one(_Scope, clauses), _one(_Where, clauses), _one(_Order, clauses)
        group, having, offset = _one(_Group, clauses), _one(_Having, clauses), _one(_Offset, clauses)
        return Select(
            items=items,
            sobject=str(source.path),
            sobject_place=source.path.place,
            alias=source.alias,
            joined=source.joined,
            scope=scope.name if scope else None,
            where=where.condition if where else None,
            order=order.orderings if order else (),
            limit=_one(Limit, clauses),
            extras=tuple(clause.words for clause in clauses if isinstance(clause, _Extra)),
            group=group.operands if group else (),
            having=having.condition if having else None,
            offset=offset.number if offset else None,
        )

    def items(self, *items: Item) -> tuple[Item, ...]:
        return items

    def field_item(self, operand: Operand, alias: _Alias | None = None) -> FieldItem:
        return FieldItem(operand, alias.name if alias else None)

    def child_item(self, select: Select) -> ChildItem:
        return ChildItem(select)

    def typeof_item(self, _word: Token, path: Path, *parts: _When) -> TypeofItem:
        otherwise = next((part.paths for part in parts if part.sobject is None), ())
        return TypeofItem(path, tuple((part.sobject, part.paths) for part in parts if part.sobject), otherwise)

    def when(self, name: Token, *paths: Path) -> _When:
        return _When(str(name), paths)

    def else_(self, *paths: Path) -> _When:
        return _When(None, paths)

    def source(self, path: Path, *rest: Token | Path | _Alias) -> _Source:
        aliases: list[str | None] = [None]
        joined: list[Path] = []
        place = path.place
        for each in rest:
            if isinstance(each, Token):
                place = _place(each)  # of the comma, where a FROM clause that cannot be so is refused
            elif isinstance(each, Path):
                joined.append(Path(each.names, place))
                aliases.append(None)
            else:
                aliases[-1] = each.name
        named = ((each, alias or each.names[-1]) for each, alias in zip(joined, aliases[1:], strict=True))
        return _Source(path, aliases[0], tuple(named))

    def alias(self, name: Token) -> _Alias:
        if name.upper() in _RESERVED:
            raise unexpected(str(name), _place(name))
        return _Alias(str(name))

    def scope(self, name: Token) -> _Scope:
        return _Scope(str(name))

    def where(self, condition: Condition) -> _Where:
        return _Where(condition)

    def order(self, *orderings: Ordering) -> _Order:
        return _Order(orderings)

    def ordering(self, operand: Operand, *words: Token) -> Ordering:
        types = {word.type for word in words}
        return Ordering(operand, descending="DESC" in types, nulls_last="LAST" in types)

    def limit(self, number: Token) -> Limit:
        return Limit(str(number), _place(number))

    def group(self, _word: Token, *operands: Operand) -> _Group:
        return _Group(operands)

    def having(self, _word: Token, condition: Condition) -> _Having:
        return _Having(condition)

    def offset(self, _word: Token, number: Token) -> _Offset:
        return _Offset(Limit(str(number), _place(number)))

    def with_(self, *words: Token) -> _Extra:
        return _Extra(" ".join(words).upper())

    def tail(self, *words: Token) -> _Extra:
        return _Extra("ALL ROWS" if words[0].type == "ALL" else " ".join(words[:2]).upper())

    def negation(self, condition: Condition) -> Not:
        return Not(condition)

    def conjunction(self, *conditions: Condition) -> And:
        return And(conditions)

    def disjunction(self, *conditions: Condition) -> Or:
        return Or(conditions)

    def comparison(self, operand: Operand, *rest: Token | Value) -> Comparison:
        words = [part for part in rest if isinstance(part, Token)]
        operator = " ".join(words).upper().replace("<>", "!=")
        return Comparison(operand, operator, tuple(part for part in rest if isinstance(part, Value)))

    def semi_join(self, operand: Operand, *rest: Token | Select) -> SemiJoin:
        select = rest[-1]
        if not isinstance(select, Select):
            raise TypeError(f"the grammar ends a semi-join with a SELECT, not {select!r}")
        return SemiJoin(operand, negated=len(rest) == 3, select=select)

    def path(self, *names: Token) -> Path:
        if names[0].upper() in _NEVER_A_FIELD:
            raise unexpected(str(names[0]), _place(names[0]))
        return Path(tuple(str(name) for name in names), _place(names[0]))

    def call(self, name: Token, *arguments: Operand | Value) -> Call:
        return Call(str(name), arguments, _place(name))

    def call_value(self, name: Token, *_arguments: object) -> None:
        raise unexpected(str(name), _place(name))

    def literal(self, token: Token) -> Value:
        return Value(_KINDS[token.type], str(token), _place(token))

    def word(self, name: Token, count: Token | None = None) -> Value:
        return Value(Kind.WORD, str(name), _place(name), None if count is None else str(count))

    def bind(self, name: Token) -> None:
        raise malformed("Bind variables only allowed in Apex code", _place(name))
