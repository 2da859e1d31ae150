"""Rows of a result, read from Salesforce on demand: as a sequence, or asynchronously."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, overload

from airflow_provider_sfbulk.client.faces.caller import AsyncCaller, Caller
from airflow_provider_sfbulk.client.faces.declare import Asynchronous, Blocking, Stream, drained, drained_beside

T = TypeVar("T")


class Rows(Sequence[T]):
    """A sequence that is not in memory: its length is known, and each iteration or index downloads its rows again.

    ``list(rows)`` keeps them.
    """

    def __init__(self, client: Caller, count: Callable[[], int], read: Callable[[], Stream[T]]) -> None:
        self._client = client
        self._count = count
        self._read = read

    def __len__(self) -> int:
        return self._count()

    def __iter__(self) -> Iterator[T]:
        return drained(self._client, self._read()) if self._count() else iter(())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        places = range(len(self))[index]  # IndexError, as of a list
        if isinstance(places, range):
            if not places:
                return []
            first, last = min(places[0], places[-1]), max(places[0], places[-1])
            held = list(islice(self, first, last + 1))
            return [held[place - first] for place in places]
        return next(islice(self, places, None))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Rows, list, tuple)):
            return NotImplemented
        return len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list: it may be compared, and is not a key

    def __repr__(self) -> str:
        return f"<{len(self)} rows, read on demand>"


class AsyncRows(Generic[T]):
    """Rows that ``async for`` reads, again each time. ``len()`` is known."""

    def __init__(self, client: AsyncCaller, count: Callable[[], int], read: Callable[[], Stream[T]]) -> None:
        self._client = client
        self._count = count
        self._read = read

    def __len__(self) -> int:
        return self._count()

    async def __aiter__(self) -> AsyncIterator[T]:
        if self._count():
            async for row in drained_beside(self._client, self._read()):
                yield row

    def __repr__(self) -> str:
        return f"<{len(self)} rows, to be read with async for>"


class rows(Generic[T]):
    """Declares a property with rows: the function returns their number and a stream of them."""

    def __init__(self, function: Callable[[Any], tuple[Callable[[], int], Callable[[], Stream[T]]]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> rows[T]: ...
    @overload
    def __get__(self, face: Blocking, owner: type) -> Rows[T]: ...
    @overload
    def __get__(self, face: Asynchronous, owner: type) -> AsyncRows[T]: ...
    def __get__(self, face: Any, owner: type) -> Any:
        if face is None:
            return self
        made = Rows if isinstance(face, Blocking) else AsyncRows
        return made(face._client, *self.function(face))
