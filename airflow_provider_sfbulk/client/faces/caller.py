"""The interface of a client for code that only needs to run flows."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Protocol, TypeVar

from airflow_provider_sfbulk.client.effects import Flow, Ledger

T = TypeVar("T")


class Caller(Protocol):
    """A blocking client, as its parts see it."""

    @property
    def api_version(self) -> str:
        """The version of all calls, such as ``"66.0"``."""

    def run(self, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow to its end and return its result."""


class AsyncCaller(Protocol):
    """An asynchronous client, as its parts see it."""

    loop: AbstractEventLoop

    @property
    def api_version(self) -> str:
        """The version of all calls, such as ``"66.0"``."""

    async def run(self, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow to its end and return its result."""
