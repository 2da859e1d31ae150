"""Work on other threads: results and errors come in order, and nothing runs on unbounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_sfbulk.client.parts.threads import BackgroundWriter, in_order


def test_results_come_in_the_order_of_the_tasks_whichever_ends_first() -> None:
    second = threading.Event()

    def first_task() -> int:
        assert second.wait(10)
        return 1

    def second_task() -> int:
        second.set()
        return 2

    assert list(in_order([first_task, second_task, lambda: 3], ahead=2)) == [1, 2, 3]


def test_an_error_comes_where_its_result_would_have_come() -> None:
    def tasks() -> Iterator[Callable[[], int]]:
        yield lambda: 1
        yield lambda: 1 // 0
        raise KeyError("the tasks themselves")

    results = in_order(tasks(), ahead=3)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_tasks_comes_after_all_results() -> None:
    def tasks() -> Iterator[Callable[[], int]]:
        yield lambda: 1
        yield lambda: 2
        raise KeyError("the tasks themselves")

    results = in_order(tasks(), ahead=3)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError):
        next(results)


def test_no_more_tasks_are_taken_than_are_run_ahead() -> None:
    taken = []

    def tasks() -> Iterator[Callable[[], int]]:
        for number in range(100):
            taken.append(number)
            yield lambda: 0

    results = in_order(tasks(), ahead=2)
    next(results)
    assert len(taken) == 3
    results.close()  # type: ignore[attr-defined]
    assert len(taken) == 3
    assert not [each for each in threading.enumerate() if each.name.startswith("sfbulk-rows")]


def test_work_behind_is_done_in_order_and_its_error_is_not_lost() -> None:
    done: list[int] = []
    behind = BackgroundWriter()
    for number in range(50):
        behind.do(lambda number=number: done.append(number))
    behind.finish()
    assert done == list(range(50))

    failing = BackgroundWriter()
    failing.do(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.finish()
