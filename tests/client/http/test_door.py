"""What flows want from outside is done one at a time, by the thread that runs them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from airflow_provider_sfbulk.client.effects import Aside, Concurrently, Flow, ReadEntry, WriteEntry
from airflow_provider_sfbulk.client.errors import StoppedError
from airflow_provider_sfbulk.client.http.blocking import BlockingDriver
from airflow_provider_sfbulk.client.settings import Settings


class Watched:
    """A ledger that notes who calls it, and whether two do at once."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.threads: set[int] = set()
        self.crowded = False
        self._busy = False
        self._meanwhile = meanwhile

    def recall(self, key: str, /) -> Mapping[str, Any] | None:
        self.come()
        return None

    def record(self, key: str, value: Mapping[str, Any], /) -> Mapping[str, Any]:
        self.come()
        return value

    def come(self) -> None:
        self.threads.add(threading.get_ident())
        self.crowded |= self._busy
        self._busy = True
        time.sleep(0.0005)
        self._meanwhile()
        self._busy = False


@pytest.fixture
def driver() -> Iterator[BlockingDriver]:
    with BlockingDriver(
        Settings.from_mapping({"host": "http://127.0.0.1:9", "client_id": "a", "client_secret": "b"})
    ) as driver:
        yield driver


def working(ledger: Watched, number: int) -> Flow[int]:
    yield ReadEntry(f"0.{number}")
    yield Aside(ledger.come)
    yield WriteEntry(f"0.{number}", {"n": number})
    return number


def nested(ledger: Watched, number: int) -> Flow[list[int]]:
    return (yield Concurrently((working(ledger, number * 10 + each) for each in range(3)), 3))


def together(flows: Any, limit: int) -> Flow[Any]:
    return (yield Concurrently(flows, limit))


def test_ledger_and_asides_are_used_by_the_calling_thread_alone_and_never_at_once(driver: BlockingDriver) -> None:
    ledger = Watched()
    found = driver.run(together((nested(ledger, each) for each in range(8)), 4), ledger=ledger)
    assert found == [[each * 10 + other for other in range(3)] for each in range(8)]
    assert ledger.threads == {threading.get_ident()}
    assert not ledger.crowded


def test_what_the_ledger_raises_reaches_the_flow_that_asked(driver: BlockingDriver) -> None:
    caught: list[str] = []

    def failing() -> None:
        raise ValueError("not taken")

    def flow() -> Flow[None]:
        try:
            yield Aside(failing)
        except ValueError as error:
            caught.append(str(error))

    driver.run(together((flow() for _ in range(3)), 2))
    assert caught == ["not taken"] * 3


def test_a_thread_that_is_ended_while_it_serves_leaves_none_waiting(driver: BlockingDriver) -> None:
    """As Airflow ends a task at its time limit: by an exception in the main thread, wherever that stands."""
    ended: list[BaseException] = []
    begun = threading.Barrier(3)

    class TimeIsUp(BaseException):
        pass

    def act() -> None:
        raise TimeIsUp

    def flow() -> Flow[None]:
        begun.wait()
        try:
            yield Aside(act)
        except BaseException as error:
            ended.append(error)
            raise

    with pytest.raises(TimeIsUp):
        driver.run(together((flow() for _ in range(3)), 3))
    assert sorted(type(each).__name__ for each in ended) == ["StoppedError", "StoppedError", "TimeIsUp"]


def test_a_door_that_is_shut_takes_no_calls() -> None:
    from airflow_provider_sfbulk.client.http.door import Door

    door = Door()
    door.shut()
    with pytest.raises(StoppedError):
        door.call(lambda: None)
