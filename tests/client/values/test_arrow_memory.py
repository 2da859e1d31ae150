"""Arrow's own default comes back, and a pool that somebody chose stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from airflow_provider_sfbulk.client.values.arrow_memory import system_memory


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = pa.default_memory_pool()
    yield
    pa.set_memory_pool(before)


def backend() -> str:
    return pa.default_memory_pool().backend_name


def mimalloc() -> pa.MemoryPool:
    try:
        return pa.mimalloc_memory_pool()
    except NotImplementedError:
        pytest.skip("this pyarrow has no mimalloc")


def test_mimalloc_is_the_default_again_afterwards_and_after_an_error() -> None:
    pa.set_memory_pool(mimalloc())
    with system_memory():
        assert backend() == "system"
    assert backend() == "mimalloc"
    with pytest.raises(ZeroDivisionError), system_memory():
        raise ZeroDivisionError
    assert backend() == "mimalloc"


def test_the_last_of_several_threads_restores_the_default() -> None:
    pa.set_memory_pool(mimalloc())
    first_out = threading.Event()
    both_in = threading.Barrier(2)

    def first() -> None:
        with system_memory():
            both_in.wait(60)
        first_out.set()

    def last() -> str:
        with system_memory():
            both_in.wait(60)
            first_out.wait(60)
            return backend()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(first)
        assert pool.submit(last).result() == "system"
    assert backend() == "mimalloc"


def test_a_pool_that_somebody_chose_is_used() -> None:
    chosen = pa.logging_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(chosen)
    with system_memory():
        before = chosen.bytes_allocated()
        held = pa.nulls(100_000, pa.int64())
        assert chosen.bytes_allocated() > before
    del held
