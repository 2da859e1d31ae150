"""One fixture, two drivers: whatever is tested of one is tested of the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_sfbulk.client.http.aio import AsyncDriver
from airflow_provider_sfbulk.client.http.blocking import BlockingDriver
from airflow_provider_sfbulk.client.settings import Settings
from tests.client.http.raw_server import RawServer


@pytest.fixture
def server() -> Iterator[RawServer]:
    made = RawServer()
    yield made
    made.close()


class Blocking:
    """The blocking driver."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.driver = BlockingDriver(settings, **options)

    def run(self, *flows: Any, **options: Any) -> list[Any]:
        """Run flows at the same time; give results or exceptions."""
        with ThreadPoolExecutor(len(flows)) as pool:
            futures = [pool.submit(self.driver.run, flow, **options) for flow in flows]
        return [each.exception() or each.result() for each in futures]

    def close(self) -> None:
        self.driver.close()


class Async:
    """The asynchronous driver, with a loop of its own."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.slow_callback_duration = 0.3
        if "sleep" in options:
            sleep = options["sleep"]

            async def slept(seconds: float) -> None:
                sleep(seconds)

            options["sleep"] = slept
        self.driver = AsyncDriver(settings, **options)

    def run(self, *flows: Any, **options: Any) -> list[Any]:
        async def gather() -> list[Any]:
            return await asyncio.gather(*(self.driver.run(flow, **options) for flow in flows), return_exceptions=True)

        return self.loop.run_until_complete(gather())

    def close(self) -> None:
        self.loop.run_until_complete(self.driver.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.fixture(params=[Blocking, Async], ids=["blocking", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Make a driver: ``make(url, **options)``, or with settings in place of the URL."""
    made: list[Any] = []

    def build(target: str | Settings, **options: Any) -> Any:
        if isinstance(target, str):
            target = Settings.from_mapping({"access_token": "00Dtoken", "instance_url": target, "timeout": 60})
        made.append(request.param(target, **options))
        return made[-1]

    yield build
    for each in made:
        each.close()
