"""One declaration of a call for two clients: blocking in ``BulkClient``, asynchronous in ``AsyncBulkClient``.

A call is declared once, as a flow, in a base class of both faces. What a user gets depends on the face it is accessed
from:

===============  ==================================  ====================================  ============================
declared with    the function returns                blocking                              asynchronous
===============  ==================================  ====================================  ============================
``call``         a flow                              its result                            an awaitable of it
``stream``       a :data:`Stream`                    an iterator                           an asynchronous iterator
``whole``        a flow with a result object         that object                           an awaitable of it, which can
                                                                                           also be iterated over at once
===============  ==================================  ====================================  ============================

Rows of a result that can be read repeatedly: ``client/faces/rows.py``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeAlias, TypeVar, overload

from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.faces.caller import AsyncCaller, Caller
from airflow_provider_sfbulk.client.faces.checks import checked, keywords, positions, refuse_unknown, without_async
from airflow_provider_sfbulk.client.http.beside import in_thread

T = TypeVar("T")
U = TypeVar("U")
B = TypeVar("B")
A = TypeVar("A")
P = ParamSpec("P")

AT_A_TIME: Final = 1000
"""Items that a thread takes at a time for the event loop, which gives them out one by one."""


@dataclass(frozen=True)
class Give(Generic[T]):
    """The next items of a stream. Taking them may read and decode, so it is done beside an event loop."""

    items: Iterable[T]


Stream: TypeAlias = Generator[Flow[Any] | Give[T], Any, None]
"""A generator that yields flows, and is sent their results, and items, which are passed on."""


class Blocking:
    """A face whose calls block. It has a client that runs flows."""

    _client: Caller


class Asynchronous:
    """A face whose calls are awaited. It has a client that runs flows on an event loop."""

    _client: AsyncCaller


# --- declarations ---


class _Declared(Generic[P, T]):
    """A function that a face turns into a method."""

    def __init__(self, function: Callable[Concatenate[Any, P], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self._names = positions(function)
        self._known = keywords(function)

    def of(self, face: Any, make: Callable[[T], Any]) -> Callable[P, Any]:
        """Bind the function, check what it is called with, and pass on what it gives."""
        return self.bound(face, lambda begin: make(begin()))

    def bound(self, face: Any, make: Callable[[Callable[..., T]], Any]) -> Callable[P, Any]:
        """Bind the function, check what it is called with, and pass on what runs it, which takes further arguments."""
        bound: Any = self.function.__get__(face)

        @functools.wraps(bound)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            refuse_unknown(self.function.__name__, kwargs, self._known)
            given, named = checked(self._names, args, kwargs)
            if isinstance(face, Blocking):
                without_async(named)
            return make(lambda **more: bound(*given, **{**named, **more}))

        return method


class call(_Declared[P, Flow[T]]):
    """Declares a single call."""

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, face: Asynchronous, owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, face: Any, owner: type) -> Any:
        return self if face is None else self.of(face, face._client.run)


class stream(_Declared[P, Stream[T]]):
    """Declares a call that yields items one after the other."""

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: Blocking, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, face: Asynchronous, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, face: Any, owner: type) -> Any:
        if face is None:
            return self
        drain = drained if isinstance(face, Blocking) else drained_beside
        return self.of(face, functools.partial(drain, face._client))


class Whole(_Declared[P, Flow[Any]], Generic[P, B, A]):
    """A call that returns a result object, see :func:`whole`."""

    def __init__(self, function: Callable[Concatenate[Any, P], Flow[Any]], iterating: dict[str, Any]) -> None:
        super().__init__(function)
        self._iterating = iterating

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: Blocking, owner: type) -> Callable[P, B]: ...
    @overload
    def __get__(self, face: Asynchronous, owner: type) -> Callable[P, Pending[A]]: ...
    def __get__(self, face: Any, owner: type) -> Any:
        if face is None:
            return self
        if isinstance(face, Blocking):
            return self.of(face, face._client.run)
        return self.bound(face, lambda begin: Pending(lambda **more: face._client.run(begin(**more)), self._iterating))


def whole(
    blocking: type[B],  # noqa: ARG001 - for the types
    asynchronous: type[A],  # noqa: ARG001
    *,
    iterating: dict[str, Any] | None = None,
) -> Callable[[Callable[Concatenate[Any, P], Flow[Any]]], Whole[P, B, A]]:
    """Declare a call that returns a result object.

    :param blocking: class of the object
    :param asynchronous: its class in the asynchronous client
    :param iterating: arguments to add when the call is iterated over instead of awaited
    """
    return lambda function: Whole(function, iterating or {})


class Pending(Coroutine[Any, Any, A]):
    """A whole load or query: ``await`` it or make it a task for its result, or iterate over it with ``async for``."""

    def __init__(self, begin: Callable[..., Coroutine[Any, Any, A]], iterating: dict[str, Any]) -> None:
        self._begin = begin
        self._iterating = iterating
        self._begun: Coroutine[Any, Any, A] | None = None
        self._is_used = False

    def _coroutine(self) -> Coroutine[Any, Any, A]:
        # Made on demand: Python complains about a coroutine that is never awaited.
        if self._begun is None:
            self._use()
            self._begun = self._begin()
        return self._begun

    def _use(self) -> None:
        if self._is_used:  # a load would be loaded again
            raise RuntimeError("cannot reuse a call that was already awaited or iterated over: call again")
        self._is_used = True

    def __await__(self) -> Generator[Any, Any, A]:
        return self._coroutine().__await__()

    def send(self, value: Any, /) -> Any:
        """Go on, as a coroutine does."""
        return self._coroutine().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error inside, as a coroutine does."""
        return self._coroutine().throw(*error)

    def close(self) -> None:
        """Close the coroutine, if there is one."""
        if self._begun is not None:
            self._begun.close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        self._use()
        result: Any = await self._begin(**self._iterating)
        async for item in result:
            yield item


# --- running streams ---


def _advance(one: Stream[T], result: Any, error: BaseException | None) -> Flow[Any] | Give[T] | None:
    try:
        return one.send(result) if error is None else one.throw(error)
    except StopIteration:
        return None


def mapped(one: Stream[T], change: Callable[[Iterable[T]], Iterable[U]]) -> Stream[U]:
    """Apply ``change`` to the items of a stream."""
    result: Any = None
    error: BaseException | None = None
    while (step := _advance(one, result, error)) is not None:
        result = error = None
        if isinstance(step, Give):
            yield Give(change(step.items))
            continue
        try:
            result = yield step
        except BaseException as raised:
            error = raised


def drained(client: Caller, one: Stream[T]) -> Iterator[T]:
    """Iterate over a stream. It runs at once up to the first items, so that a refusal is raised here."""

    def until_given() -> Give[T] | None:
        result: Any = None
        error: BaseException | None = None
        while True:
            step = _advance(one, result, error)
            if step is None or isinstance(step, Give):
                return step
            result = error = None
            try:
                result = client.run(step)
            except BaseException as raised:
                error = raised

    def items(given: Give[T] | None) -> Iterator[T]:
        with closing(one):
            while given is not None:
                yield from given.items
                given = until_given()

    return items(until_given())


def _take(items: Iterator[T]) -> list[T]:
    return list(islice(items, AT_A_TIME))


async def drained_beside(client: AsyncCaller, one: Stream[T]) -> AsyncIterator[T]:
    """Iterate over a stream. Nothing runs before the first item is requested; items are made in threads."""
    client.loop = asyncio.get_running_loop()
    result: Any = None
    error: BaseException | None = None
    with closing(one):
        while True:
            step = await in_thread(functools.partial(_advance, one, result, error))
            result = error = None
            if step is None:
                return
            if isinstance(step, Give):
                items = iter(step.items)
                while taken := await in_thread(functools.partial(_take, items)):
                    for item in taken:
                        yield item
                continue
            try:
                result = await client.run(step)
            except BaseException as raised:
                error = raised
