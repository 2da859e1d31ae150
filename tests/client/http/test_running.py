"""Running flows: effects and their errors, sharing a login, doing things together, stopping. Both drivers."""

from __future__ import annotations

import json
import threading
import time

import pytest

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.effects import Authorize, Concurrently, Now, ReadEntry, Sleep, WriteEntry
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call
from airflow_provider_sfbulk.client.settings import Settings
from tests.client.http.conftest import Async
from tests.client.http.outcome import one
from tests.client.http.raw_server import Asked, reply

GET = ApiCall("GET", "/services/data/v66.0/x")
JSON = {"Content_Type": "application/json"}


def value(result):
    yield Now()
    return result


def fails(error):
    yield Now()
    raise error


def test_now_and_sleep_are_the_injected_ones(make, server):
    slept = []
    driver = make(server.url, clock=lambda: 7.0, sleep=slept.append, chance=lambda: 0.5)

    def flow():
        yield Sleep(10)
        yield Sleep(10, jitter=1.0)
        yield Sleep(10, jitter=0.2)
        return (yield Now())

    assert one(driver, flow()) == 7.0
    assert slept == [10, 5, 9]


def test_a_failed_effect_is_raised_at_the_yield(make, server):
    class Fenced:
        def record(self, key, value):
            raise errors.FencedError("replaced")

    def flow():
        try:
            yield WriteEntry("key", {"value": 1})
        except errors.LedgerError as error:
            return str(error)

    assert one(make(server.url), flow(), ledger=Fenced()) == "replaced"


def test_the_ledger_says_which_value_stands_also_for_flows_that_run_together(make, server):
    class Register:
        def recall(self, key):
            return {"recalled": key}

        def record(self, key, value):
            return {"earlier": value}

    def each(number):
        return (yield ReadEntry(f"key {number}")), (yield WriteEntry("key", {"mine": number}))

    def flow():
        return (yield Concurrently((each(number) for number in range(2)), 2))

    assert one(make(server.url), flow(), ledger=Register()) == [
        ({"recalled": "key 0"}, {"earlier": {"mine": 0}}),
        ({"recalled": "key 1"}, {"earlier": {"mine": 1}}),
    ]


def test_without_a_ledger_entries_last_as_long_as_the_run(make, server):
    def flow():
        before = yield ReadEntry("key")
        stands = [(yield WriteEntry("key", {"value": 1})), (yield WriteEntry("key", {"value": 2}))]
        return before, stands, (yield ReadEntry("key"))

    driver = make(server.url)
    for _ in range(2):
        assert one(driver, flow()) == (None, [{"value": 1}] * 2, {"value": 1})


def test_flows_run_together_and_their_results_keep_their_order(make, server):
    server.handler = lambda asked: reply(asked.target[-1].encode())

    def numbered(number):
        found = yield from call(ApiCall("GET", f"/services/data/v66.0/{number}"))
        return found.body

    def flow():
        return (yield Concurrently((numbered(number) for number in range(8)), 3))

    assert one(make(server.url), flow()) == [str(number).encode() for number in range(8)]


def test_no_more_than_the_limit_run_and_flows_are_pulled_when_there_is_room(make, server):
    running, most, pulled = set(), [], []
    lock = threading.Lock()

    def member(number):
        with lock:
            running.add(number)
            most.append(len(running))
        for _ in range(3):
            yield Sleep(0.005)
        with lock:
            running.discard(number)
        return number

    def members():
        for number in range(9):
            pulled.append((number, len(most)))
            yield member(number)

    def flow():
        return (yield Concurrently(members(), 2))

    assert one(make(server.url), flow()) == list(range(9))
    assert max(most) == 2
    assert all(number - started <= 2 for number, started in pulled)


def test_after_an_error_nothing_new_starts_and_what_runs_is_let_finish(make, server):
    finished, started = [], []

    def slow(number):
        started.append(number)
        for _ in range(5):
            yield Sleep(0.01)
        finished.append(number)

    def flow():
        yield Concurrently(iter([slow(0), fails(errors.ProtocolError("first")), slow(2), slow(3)]), 2)

    with pytest.raises(errors.ProtocolError, match="first"):
        one(make(server.url), flow())
    assert finished == started
    assert 3 not in started


def test_an_error_of_the_list_of_flows_is_raised_after_the_others(make, server):
    finished = []

    def slow():
        yield Sleep(0.02)
        finished.append(1)

    def members():
        yield slow()
        raise errors.SourceError("the data ended badly")

    def flow():
        yield Concurrently(members(), 4)

    with pytest.raises(errors.SourceError, match="ended badly"):
        one(make(server.url), flow())
    assert finished == [1]


def test_together_may_be_nested_and_empty(make, server):
    def inner(number):
        return (yield Concurrently([value(number), value(number + 1)], 2))

    def flow():
        nothing = yield Concurrently([], 3)
        return nothing, (yield Concurrently([inner(0), inner(10)], 2))

    assert one(make(server.url), flow()) == ([], [[0, 1], [10, 11]])


class Org:
    """Hands out tokens and takes only the newest."""

    def __init__(self, server):
        self.server = server
        self.logins = 0
        self.refuse = False
        server.handler = self.answer

    def answer(self, asked: Asked):
        if asked.target == "/services/oauth2/token":
            if self.refuse:
                self.logins += 1
                return reply(
                    b'{"error":"invalid_grant","error_description":"authentication failure"}', "400 No", **JSON
                )
            self.logins += 1
            body = {"access_token": f"token{self.logins}", "instance_url": self.server.url}
            return reply(json.dumps(body).encode(), **JSON)
        if asked.headers["authorization"] == f"Bearer token{self.logins}":
            return reply(b"{}", **JSON)
        return reply(b'[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]', "401 No", **JSON)

    def settings(self) -> Settings:
        return Settings.from_mapping({"host": self.server.url, "client_id": "id", "client_secret": "secret"})


@pytest.mark.parity("G2.9", "A5.2")
def test_eight_callers_with_an_ended_session_log_in_once(make, server):
    org = Org(server)
    driver = make(org.settings())
    one(driver, call(GET))
    assert org.logins == 1
    org.logins = 100  # the first token is not the newest any more
    refused, all_refused = [], threading.Event()

    def refuses_all_at_once(asked):
        answer = org.answer(asked)
        if asked.headers.get("authorization") == "Bearer token1":
            refused.append(asked)
            answer.wait = all_refused
            if len(refused) == 8:
                all_refused.set()
        return answer

    server.handler = refuses_all_at_once
    results = driver.run(*(call(GET) for _ in range(8)))
    assert len(refused) == 8
    assert [result.status for result in results] == [200] * 8
    assert org.logins == 101


def test_eight_callers_try_a_wrong_password_once(make, server):
    org = Org(server)
    org.refuse = True
    settings = org.settings()
    waiting = threading.Semaphore(0)

    class Awaited(Session):
        """Drivers read ``logins`` when they begin to wait for a login: from then on they share its end."""

        @property
        def logins(self):
            waiting.release()
            return self.ended

        @logins.setter
        def logins(self, ended):
            self.ended = ended

    def all_wait(then):
        for _ in range(9):  # eight callers, and the login itself, which looks whether it is the first
            waiting.acquire(timeout=10)
        then.set()

    def answers_when_all_wait(asked):
        answer = org.answer(asked)
        answer.wait = threading.Event()
        threading.Thread(target=all_wait, args=(answer.wait,)).start()
        return answer

    server.handler = answers_when_all_wait
    driver = make(settings, session=Awaited(settings))
    results = driver.run(*(call(GET) for _ in range(8)))
    assert all(isinstance(result, errors.LoginError) for result in results)
    assert len({id(result) for result in results}) == 8  # each has its own, with its own traceback
    assert org.logins == 1


def test_a_second_401_is_not_answered_with_a_third_login(make, server):
    org = Org(server)
    driver = make(org.settings())
    server.handler = lambda asked: org.answer(asked) if "token" in asked.target else reply(b"", "401 No")
    with pytest.raises(errors.LoginError):
        one(driver, call(GET))
    assert org.logins == 2


def test_a_stopped_driver_sends_nothing_more(make, server):
    server.handler = lambda asked: reply(b"{}")
    driver = make(server.url)

    def flow():
        yield from call(GET)
        driver.driver.stop("killed by a person")
        yield from call(GET)

    with pytest.raises(errors.StoppedError, match="killed by a person"):
        one(driver, flow())
    assert len(server.asked) == 1


@pytest.mark.real_pauses
def test_stopping_wakes_a_sleeper_of_the_blocking_driver(server):
    from airflow_provider_sfbulk.client.http.blocking import BlockingDriver

    settings = Settings.from_mapping({"access_token": "t", "instance_url": server.url})

    def flow():
        yield Sleep(60)

    with BlockingDriver(settings) as driver:
        threading.Timer(0.1, driver.stop).start()
        began = time.monotonic()
        with pytest.raises(errors.StoppedError):
            driver.run(flow())
        assert time.monotonic() - began < 10


def test_a_killed_flow_cleans_up(make, server):
    cleaned = []

    class Killed(BaseException):
        pass

    def sleep(seconds):
        raise Killed

    def flow():
        try:
            yield Sleep(1)
        finally:
            cleaned.append(True)

    with pytest.raises(Killed):
        one(make(server.url, sleep=sleep), flow())
    assert cleaned == [True]


def test_the_login_of_a_trigger_runs_beside_its_loop(server, monkeypatch):
    """A slow key or disk must not hold the loop up: other triggers wait on it."""
    import asyncio

    from airflow_provider_sfbulk.client.auth import oauth
    from airflow_provider_sfbulk.client.http.aio import AsyncDriver

    org = Org(server)
    where = []
    slow = oauth.login

    def login(settings, clock):
        where.append(threading.current_thread() is threading.main_thread())
        return slow(settings, clock)

    monkeypatch.setattr(oauth, "login", login)

    async def go():
        async with AsyncDriver(org.settings()) as driver:

            def flow():
                return (yield Authorize())

            return await driver.run(flow())

    assert asyncio.run(go()).access_token == "token1"
    assert where == [False]


@pytest.mark.parametrize("host", ["https://xn--a.my.salesforce.com", "https://xn--.my.salesforce.com"])
def test_a_host_whose_punycode_is_none_is_our_own_error(host: str) -> None:
    # Asynchronous only: the blocking library would ask for the address.
    made = Async(Settings.from_mapping({"access_token": "t", "instance_url": host, "timeout": 5}), sleep=lambda _: None)
    try:
        (found,) = made.run(call(GET))
    finally:
        made.close()
    assert isinstance(found, errors.TransportError)
    assert found.sent is False
