"""What is done to a load and to an extract, one function each. Whatever it is, every row must be there once afterwards."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.demo.stack import StackError
from tests.scale.cluster import HEARTBEAT_SECONDS, TRIGGERERS
from tests.scale.gate import Gate
from tests.scale.world import BUCKET, Run, World

AWAY_SECONDS: Final = 25.0
"""How long an outage lasts: longer than the task SDK's own retries (about 15 s)."""

LEFT_BYTES: Final = 2_000_000
"""Of a full disk: Airflow's own components need some, too."""

GRACE_SECONDS: Final = 20.0
INGEST: Final = r"/jobs/ingest"


@dataclass(frozen=True)
class Scenario:
    """One disturbance.

    :ivar disturb: is given the run as soon as it is started, and comes back when everything is in place again
    :ivar width: characters in each row besides its name
    """

    name: str
    dag_id: str
    disturb: Callable[[World, Run], None]
    width: int = 0


def nothing(world: World, run: Run) -> None:
    """Disturb nothing."""


def kill_workers_at(method: str, path: str, *, halfway: bool = False) -> Callable[[World, Run], None]:
    """Kill all workers when the org has answered a call and the reply has not reached them.

    :param halfway: when half of the call has reached the org
    """

    def disturb(world: World, run: Run) -> None:
        world.hold(method, path, halfway=halfway)
        _replace_workers(world)

    return disturb


def kill_workers_while_deferred(world: World, run: Run) -> None:
    run.wait_until_deferred()
    _replace_workers(world)


def _replace_workers(world: World) -> None:
    for worker in world.cluster.workers:
        world.cluster.kill_component(worker)
    world.org_gate.release()
    for worker in world.cluster.workers:
        world.cluster.restart(worker)


def deploy(grace_seconds: float) -> Callable[[World, Run], None]:
    """Replace one worker after the other while they upload."""

    def disturb(world: World, run: Run) -> None:
        world.hold("PUT", INGEST)
        world.org_gate.release()
        for worker in world.cluster.workers:
            world.cluster.end_component(worker, grace_seconds=grace_seconds)
            world.cluster.restart(worker)

    return disturb


def kill_both_triggerers(world: World, run: Run) -> None:
    run.wait_until_deferred()
    for name in TRIGGERERS:
        world.cluster.kill_component(name)
    for name in TRIGGERERS:
        world.cluster.restart(name)


def freeze_a_triggerer(world: World, run: Run) -> None:
    """Let one stand still until the other has taken its waits over, and go on."""
    run.wait_until_deferred()
    world.cluster.signal_component(TRIGGERERS[0], signal.SIGSTOP)
    try:
        _pause(world, 2.5 * HEARTBEAT_SECONDS)
    finally:
        world.cluster.signal_component(TRIGGERERS[0], signal.SIGCONT)


def without(component: str) -> Callable[[World, Run], None]:
    """Take a component of Airflow away for a while."""

    def disturb(world: World, run: Run) -> None:
        world.hold("POST", r"/jobs/(ingest|query)")
        world.org_gate.release()
        world.cluster.kill_component(component)
        _pause(world, AWAY_SECONDS)
        world.cluster.restart(component)
        world.cluster.wait_until_healthy()

    return disturb


def shut(gate: Callable[[World], Gate], method: str, path: str) -> Callable[[World, Run], None]:
    """Take a server away for a while, from the moment at which the org has answered a call."""

    def disturb(world: World, run: Run) -> None:
        world.hold(method, path)
        gate(world).shut()
        world.org_gate.release()
        _pause(world, AWAY_SECONDS)
        gate(world).open()
        world.cluster.wait_until_healthy()

    return disturb


def clear_while_deferred(world: World, run: Run) -> None:
    run.wait_until_deferred()
    run.clear()


def clear_while_running(world: World, run: Run) -> None:
    world.hold("PUT", INGEST)
    world.org_gate.release()
    run.clear()


def two_runs(world: World, run: Run) -> None:
    """Start a second run of the DAG, with rows of its own, and kill the workers."""
    prefix = f"{run.prefix}-beside"
    files = len(world.objects(f"{run.prefix}/in"))
    names = world.write_inputs(prefix, files, len(run.names) // files)
    run.beside.append(world.run(run.dag_id, prefix, names, files))
    world.hold("PUT", INGEST)
    _replace_workers(world)


def put_the_inputs_again(world: World, run: Run) -> None:
    """Put the same bytes again, as a producer does who is retried, and kill the workers."""
    run.wait_until_deferred()
    for key, body in world.objects(f"{run.prefix}/in").items():
        world.lake.put_object(Bucket=BUCKET, Key=key, Body=body)
    _replace_workers(world)


def fill_the_disk(world: World, run: Run) -> None:
    """Fill the disk for temporary files when a try has found room on it, and make room after some tries have failed."""
    if world.disk is None:
        raise StackError("a small disk takes a right to mount")
    world.hold("GET", "/describe")
    filler = world.disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(world.disk).free - LEFT_BYTES))
    world.org_gate.release()
    in_the_middle, at_the_start = f"{world.disk}, is full (ENOSPC)", "and this load needs 15 MB"
    world.cluster.wait_for(
        lambda: in_the_middle in (logs := run.logs()) and at_the_start in logs, "the disk is noticed"
    )
    if stored := world.stored(run.rows):
        raise StackError(f"{len(stored)} rows are in the org already")
    filler.unlink()


def _pause(world: World, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.5)


def scenarios() -> list[Scenario]:
    """Give all, in their order."""
    load, extract = "scale_load", "scale_extract"
    kill = kill_workers_at
    return [
        Scenario("load, undisturbed", load, nothing),
        Scenario("workers killed before the upload", load, kill("POST", INGEST)),
        Scenario("workers killed within the upload", load, kill("PUT", INGEST, halfway=True)),
        Scenario("workers killed after the upload", load, kill("PUT", INGEST)),
        Scenario("workers killed between closes", load, kill("PATCH", INGEST)),
        Scenario("workers killed while deferred", load, kill_workers_while_deferred),
        Scenario("workers killed reading results", load, kill("GET", r"/successfulResults")),
        Scenario("rolling deploy with grace", load, deploy(GRACE_SECONDS)),
        Scenario("rolling deploy without grace", load, deploy(0.5)),
        Scenario("both triggerers killed", load, kill_both_triggerers),
        Scenario("one triggerer frozen, taken over, awake", load, freeze_a_triggerer),
        Scenario("scheduler away", load, without("scheduler")),
        Scenario("API server away", load, without("api-server")),
        Scenario("Redis away", load, shut(lambda world: world.redis_gate, "POST", INGEST)),
        Scenario("PostgreSQL away", load, shut(lambda world: world.postgresql_gate, "PATCH", INGEST)),
        Scenario("S3 away, results", load, shut(lambda world: world.s3_gate, "GET", r"/successfulResults")),
        Scenario("Salesforce away, closes", load, shut(lambda world: world.org_gate, "PATCH", INGEST)),
        Scenario("disk for temporary files full", load, fill_the_disk, width=30_000),
        Scenario("cleared while deferred", load, clear_while_deferred),
        Scenario("cleared while running", load, clear_while_running),
        Scenario("two runs at once, workers killed", load, two_runs),
        Scenario("objects put again, workers killed", load, put_the_inputs_again),
        Scenario("extract, undisturbed", extract, nothing),
        Scenario("extract: workers killed fetching pages", extract, kill("GET", r"/jobs/query/\w+/results")),
        Scenario("extract: S3 away while publishing", extract, shut(lambda world: world.s3_gate, "GET", r"/results")),
        Scenario("extract: both triggerers killed", extract, kill_both_triggerers),
        Scenario("extract: cleared while deferred", extract, clear_while_deferred),
        Scenario("extract: API server away", extract, without("api-server")),
    ]
