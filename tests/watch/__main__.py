"""Many jobs that wait in one triggerer for minutes: ``python -m tests.watch --jobs 1500 --seconds 600``.

The local org runs in this process, Airflow's ``TriggerRunner`` with the real triggers in another, which is killed once and
started again. The jobs end one after the other; other clients' jobs of the week stand in the same list.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, JobKind, State
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger

FIRST_END_SECONDS = 15.0
POLL_SECONDS = 30.0
LAST_SECONDS = 60.0
"""How long the last events may take to come."""


@dataclass
class Figures:
    """What was seen. Times of monotonic clocks, which on Linux all processes share."""

    lags: list[float] = field(default_factory=list)
    growth: int = 0
    events: dict[int, list[tuple[float, dict[str, Any]]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    ends: dict[int, float] = field(default_factory=dict)
    calls: list[float] = field(default_factory=list)
    logins: int = 0
    ready: list[float] = field(default_factory=list)
    """When each triggerer began."""

    @property
    def lag_p99(self) -> float:
        return sorted(self.lags)[int(len(self.lags) * 0.99)]

    @property
    def most_calls_in_a_minute(self) -> int:
        return max((sum(at - 60 < each <= at for each in self.calls) for at in self.calls), default=0)

    def late(self, number: int) -> float:
        """How long after the job's end its event came; from a triggerer's begin, if there was none at the end."""
        at = self.events[number][0][0]
        begun = max((each for each in self.ready if each <= at), default=0.0)
        before = [each for each in self.ready if each <= self.ends[number]]
        return at - (self.ends[number] if before and before[-1] == begun else max(begun, self.ends[number]))


class Triggerer:
    """The process with the triggers, and a thread that reads what it says."""

    def __init__(self, figures: Figures, triggers: list[tuple[int, str, dict[str, Any]]], environment: dict[str, str]):
        self._figures = figures
        self._first: int | None = None
        with Path(environment["AIRFLOW_HOME"], "triggerer.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.watch.triggerer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(triggers) + "\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # Airflow's own logs come here, too
                said = json.loads(line)
                if isinstance(said, dict):
                    self._take(said)

    def _take(self, said: dict[str, Any]) -> None:
        if "lags" in said:
            if self._first is None:
                self._first = said["bytes"]
                self._figures.ready.append(time.monotonic())
            self._figures.lags += said["lags"]
            self._figures.growth = max(self._figures.growth, said["bytes"] - self._first)
        elif "failure" in said:
            self._figures.failures.append(said["failure"])
        elif "payload" in said:
            self._figures.events.setdefault(said["id"], []).append((said["at"], said["payload"]))


def add_job(org: LocalOrg, state: State) -> Entry:
    return org.core.jobs.add(
        kind=JobKind.INGEST,
        operation="insert",
        object="Account",
        created_by_id=org.user_id,
        state=state,
        api_version="66.0",
        closed=datetime.now(UTC),
    )


def watch(
    *,
    jobs: int,
    others: int,
    seconds: float,
    restart: bool,
    first_end: float = FIRST_END_SECONDS,
    poll_interval: float = POLL_SECONDS,
) -> Figures:
    """Let so many jobs end within so many seconds, and see when their triggers fire."""
    figures = Figures()
    chance = random.Random(jobs)
    with LocalOrg() as org, tempfile.TemporaryDirectory() as home:
        entries: list[Entry] = []
        for n in range(jobs + others):
            if n % (1 + others // max(1, jobs)) == 0 and len(entries) < jobs:
                entries.append(add_job(org, State.IN_PROGRESS))
            else:
                add_job(org, State.JOB_COMPLETE)
        entries += [add_job(org, State.IN_PROGRESS) for _ in range(jobs - len(entries))]
        environment = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection,
        }
        triggers = [
            (
                n,
                *BulkJobTrigger(
                    job_ids=[entry.job.id],
                    job_type="ingest",
                    salesforce_conn_id="salesforce_bulk_default",
                    poll_interval=poll_interval,
                ).serialize(),
            )
            for n, entry in enumerate(entries)
        ]
        triggerer = Triggerer(figures, triggers, environment)
        # The runner reports before its triggers run. If a job ended before the others' triggers began, the first one would
        # have a poller, and so a login, of its own.
        while not (figures.ready and org.calls):
            time.sleep(0.05)
        started = time.monotonic()
        coming = sorted((started + first_end + chance.random() * (seconds - first_end), n) for n in range(jobs))[::-1]
        known = 0
        while time.monotonic() < started + seconds + LAST_SECONDS and len(figures.events) < jobs:
            now = time.monotonic()
            while coming and coming[-1][0] <= now:
                entry = entries[(ending := coming.pop()[1])]
                with entry.lock:
                    org.core.jobs.set_state(entry, State.JOB_COMPLETE)
                    entry.settle()
                figures.ends[ending] = time.monotonic()
            if restart and now > started + seconds / 2:
                restart = False
                triggerer.kill()
                left = [each for each in triggers if each[0] not in figures.events]
                triggerer = Triggerer(figures, left, environment)
            new = org.calls[known:]
            known += len(new)
            figures.calls += [now] * sum("/services/data/" in call.path for call in new)
            figures.logins += sum("oauth2/token" in call.path for call in new)
            time.sleep(0.1)
        triggerer.kill()
        if figures.failures:
            print(Path(home, "triggerer.log").read_text()[-3000:], file=sys.stderr)
    return figures


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.watch", description=__doc__)
    options.add_argument("--jobs", type=int, default=1500)
    options.add_argument("--others", type=int, default=1000, help="other clients' jobs in the list")
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--no-restart", action="store_true", help="leave the triggerer alive")
    given = options.parse_args()
    figures = watch(jobs=given.jobs, others=given.others, seconds=given.seconds, restart=not given.no_restart)
    times = Counter(len(each) for each in figures.events.values())
    outcomes = Counter(each[0][1]["outcome"] for each in figures.events.values())
    late = sorted(figures.late(number) for number in figures.events)
    minutes = (figures.calls[-1] - figures.calls[0]) / 60 if figures.calls else 0.0
    print(f"jobs                     {given.jobs} in one triggerer, {given.others} of other clients in the list")
    print(f"triggerers               {len(figures.ready)} (killed and started again: {len(figures.ready) - 1} times)")
    print(f"events                   {sum(times.values())} of {given.jobs}; by number of times: {dict(times)}")
    print(f"outcomes                 {dict(outcomes)}, failures {len(figures.failures)}")
    if late:
        print(f"end noticed after        median {late[len(late) // 2]:.1f} s, worst {late[-1]:.1f} s")
    print(f"API calls                {len(figures.calls)}, {len(figures.calls) / max(minutes, 0.01):.1f} a minute")
    print(f"most calls in a minute   {figures.most_calls_in_a_minute}; logins {figures.logins}")
    print(f"event loop lag           p99 {figures.lag_p99 * 1000:.1f} ms, worst {max(figures.lags) * 1000:.1f} ms")
    print(f"memory growth            {figures.growth / 1e6:.1f} MB")
    return 0 if times == {1: given.jobs} and outcomes == {"final": given.jobs} else 1


if __name__ == "__main__":
    raise SystemExit(main())
