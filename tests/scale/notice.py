"""Many deferred tasks over two triggerers, one of them killed: how soon their ends are noticed, and what waiting costs.

No worker runs: the tasks are deferred in Airflow's database as its execution API does it, and a task that is noticed stays
in the queue. Everything else is real: triggerers, database, the org in a process of its own. Nor is a job uploaded: it
ends when it is aborted, which is a moment that is known.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger
from tests.scale.cluster import TRIGGERERS
from tests.scale.share import Usage, own_bytes
from tests.scale.world import World, running

BUDGET: Final = 12
"""Calls a minute for each connection and triggerer."""

MEDIAN_SECONDS: Final = 15.0
WORST_SECONDS: Final = 30.0
AROUND_THE_KILL_SECONDS: Final = 60.0
MOST_BYTES: Final = 500_000
"""Of memory for a waiting task, above that of Airflow's own simplest trigger."""

LOOK_SECONDS: Final = 0.5
SETTLE_SECONDS: Final = 30.0
EMPTY: Final = (
    "airflow.providers.standard.triggers.temporal.DateTimeTrigger",
    {"target_time": "2100-01-01T00:00:00+00:00"},
)
SETTINGS: Final = {
    # Airflow's defaults of what the cluster makes quicker, and room for all in one triggerer.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__TRIGGERER__CAPACITY": "2000",
}


@dataclass
class Figures:
    """What was seen of one number of waiting tasks.

    :ivar late: seconds from each job's end to the moment at which its task was free to go on
    :ivar late_around: the same, where the wait was the killed triggerer's, until the other one had it for a while
    :ivar taken_seconds: from the kill until the other triggerer had the last of these waits
    :ivar waiting_bytes: of memory for one more waiting task; ``empty_bytes`` for one more of Airflow's own triggers
    :ivar first_bytes: of memory in one triggerer for whatever the first wait brings: the client, and the API server that
        Airflow begins in each triggerer with the first connection or XCom that a trigger asks for
    """

    late: list[float] = field(default_factory=list)
    late_around: list[float] = field(default_factory=list)
    taken_seconds: float = 0.0
    calls: int = 0
    most_calls: int = 0
    logins: int = 0
    waiting_bytes: float = 0.0
    empty_bytes: float = 0.0
    first_bytes: float = 0.0
    used: str = ""

    def __str__(self) -> str:
        return (
            f"noticed after {_median(self.late):.1f} s (median), {max(self.late, default=0.0):.1f} s (worst), "
            f"around the kill {max(self.late_around, default=0.0):.1f} s (worst of {len(self.late_around)}, "
            f"all taken over after {self.taken_seconds:.0f} s); "
            f"{self.calls} calls, at most {self.most_calls} a minute, {self.logins} logins; "
            f"{self.waiting_bytes / 1e6:.2f} MB a task, {self.empty_bytes / 1e6:.2f} MB one of Airflow's own triggers, "
            f"{self.first_bytes / 1e6:.0f} MB in each triggerer with the first; "
            f"until the kill both triggerers took {self.used}"
        )

    def differences(self, number: int) -> list[str]:
        """Say what is not as it must be."""
        found = []
        if len(self.late) + len(self.late_around) != number:
            found.append(f"{number - len(self.late) - len(self.late_around)} ends not noticed")
        if self.most_calls > BUDGET * len(TRIGGERERS):
            found.append(f"{self.most_calls} calls in a minute")
        if _median(self.late) > MEDIAN_SECONDS or max(self.late, default=0.0) > WORST_SECONDS:
            found.append("noticed late")
        if max(self.late_around, default=0.0) > AROUND_THE_KILL_SECONDS:
            found.append("noticed late around the kill")
        if self.waiting_bytes - self.empty_bytes > MOST_BYTES:
            found.append("too much memory")
        return found


def notice(number: int, seconds: float) -> tuple[Figures, list[str]]:
    """Let so many jobs end within so many seconds, and kill a triggerer in the middle.

    :return: the figures, and what is not as it must be
    """
    figures = Figures()
    settings = {**SETTINGS, "SCALE_WAITS": str(number)}
    with running(workers=0, job_seconds=0, settings=settings) as world:
        world.cluster.call("POST", "/api/v2/pools", {"name": "closed", "slots": 0})
        figures.empty_bytes, _ = _defer(world, [EMPTY] * number)
        _begin_anew(world)
        with _client(world) as client:
            jobs = [client.ingest.create_job("Account", "insert").id for _ in range(number)]
            figures.waiting_bytes, figures.first_bytes = _defer(world, [_trigger(job_id) for job_id in jobs])
            _let_end(world, client, jobs, seconds, figures)
    return figures, figures.differences(number)


def _let_end(world: World, client: BulkClient, jobs: Sequence[str], seconds: float, figures: Figures) -> None:
    chance = random.Random(len(jobs))
    began, used = time.monotonic(), Usage.of(world.cluster.pids(TRIGGERERS))
    coming = sorted(((began + chance.random() * seconds, index) for index in range(len(jobs))), reverse=True)
    ends: dict[int, float] = {}
    noticed: dict[int, float] = {}
    held: dict[int, int] = {}
    taken: dict[int, float] = {}
    killed = 0.0
    while len(noticed) < len(jobs) and time.monotonic() < began + seconds + 2 * AROUND_THE_KILL_SECONDS:
        while coming and coming[-1][0] <= time.monotonic():
            index = coming.pop()[1]
            client.ingest.abort(jobs[index])
            ends[index] = time.monotonic()
        if not killed and time.monotonic() > began + seconds / 2:
            figures.used = Usage.of(world.cluster.pids(TRIGGERERS)).since(used)
            world.cluster.kill_component(TRIGGERERS[0])
            killed = time.monotonic()
            held = _holders(world)
        for index, holder in _holders(world).items() if killed else ():
            if holder != held.get(index):
                taken.setdefault(index, time.monotonic())
        for (index,) in world.query("SELECT map_index FROM task_instance WHERE state = 'scheduled'"):
            noticed.setdefault(index, time.monotonic())
        time.sleep(LOOK_SECONDS)
    for index, at in noticed.items():
        is_around = index in taken and ends[index] < taken[index] + WORST_SECONDS
        (figures.late_around if is_around else figures.late).append(at - ends[index])
    figures.taken_seconds = max(taken.values(), default=killed) - killed
    calls = [at for at, path in world.org_gate.requests if at >= began and path.startswith(b"/services/data")]
    figures.calls = len(calls)
    figures.most_calls = max((sum(at - 60 < each <= at for each in calls) for at in calls), default=0)
    figures.logins = sum(path.endswith(b"/oauth2/token") for _, path in world.org_gate.requests)


def _defer(world: World, triggers: Sequence[tuple[str, dict[str, Any]]]) -> tuple[float, float]:
    """Start a run and defer its tasks in two halves, each until the triggerers have all of it.

    :return: bytes of memory for one task of the second half, and beyond those of all tasks, in each triggerer
    """
    run_id = world.cluster.start_run("scale_waits")
    waiting = "SELECT count(*) FROM task_instance WHERE run_id = %s AND state = 'scheduled'"
    world.cluster.wait_for(lambda: world.query(waiting, run_id)[0][0] == len(triggers), "the tasks are scheduled")
    taken = "SELECT count(*) FROM trigger WHERE triggerer_id IS NOT NULL"
    held = [own_bytes(world.cluster.pids(TRIGGERERS))]
    half = len(triggers) // 2
    for first, last in ((0, half), (half, len(triggers))):
        world.cluster.script("defer.py", run_id, str(first), given=json.dumps(triggers[first:last]))
        world.cluster.wait_for(lambda upto=last: world.query(taken)[0][0] == upto, "the triggerers have all waits")
        time.sleep(SETTLE_SECONDS)
        held.append(own_bytes(world.cluster.pids(TRIGGERERS)))
    before, between, after = held
    each = (after - between) / (len(triggers) - half)
    return each, (after - before - each * len(triggers)) / len(TRIGGERERS)


def _holders(world: World) -> dict[int, int]:
    """Read which triggerer has which task's wait."""
    return dict(
        world.query(
            "SELECT map_index, triggerer_id FROM task_instance JOIN trigger ON trigger.id = trigger_id "
            "WHERE triggerer_id IS NOT NULL"
        )
    )


def _begin_anew(world: World) -> None:
    """Replace the triggerers, without anything to wait for."""
    for name in TRIGGERERS:
        world.cluster.kill_component(name)
    world.query("UPDATE task_instance SET state = 'failed', trigger_id = NULL RETURNING 1")
    world.query("DELETE FROM trigger RETURNING 1")
    for name in TRIGGERERS:
        world.cluster.restart(name)
    world.cluster.wait_until_healthy()
    time.sleep(SETTLE_SECONDS)


def _trigger(job_id: str) -> tuple[str, dict[str, Any]]:
    return BulkJobTrigger(
        job_ids=[job_id],
        job_type="ingest",
        salesforce_conn_id="salesforce_bulk_default",
        poll_interval=30.0,
        deferred_at=time.time(),
    ).serialize()


def _client(world: World) -> BulkClient:
    known = world.org.start_line
    return BulkClient(host=known["url"], client_id=known["client_id"], client_secret=known["client_secret"])


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0
