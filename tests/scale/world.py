"""Everything that runs, and what the scenarios do with it and ask of it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3  # type: ignore[import-untyped]
import psycopg2  # type: ignore[import-untyped]

from airflow_provider_sfbulk.demo.airports import SCHEMA
from airflow_provider_sfbulk.demo.org_process import OrgProcess
from tests.scale.cluster import Cluster
from tests.scale.gate import Gate
from tests.scale.services import HOST, USER, postgresql, redis, s3, small_disk

BUCKET: Final = "lake"
DAGS: Final = Path(__file__).parent / "dags"
FINISH_SECONDS: Final = 600.0
FINAL: Final = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass
class World:
    """A running cluster with all it leans on.

    :ivar org_gate: between Airflow and the org; the other gates likewise
    :ivar postgresql_port: past its gate
    :ivar disk: where Airflow has its temporary files: a small disk, if that may be made
    :ivar lake: a client of the S3 server, past its gate
    """

    home: Path
    cluster: Cluster
    org: OrgProcess
    org_gate: Gate
    postgresql_gate: Gate
    redis_gate: Gate
    s3_gate: Gate
    postgresql_port: int
    disk: Path | None
    lake: Any

    def run(self, dag_id: str, prefix: str, names: list[str], files: int = 1, *, rows: str | None = None) -> Run:
        """Start a run.

        :param prefix: of its objects
        :param names: those of its rows
        :param rows: prefix of its rows, when it is another one
        """
        run = {"prefix": prefix, "files": files, "rows": rows or prefix}
        return Run(self, dag_id, self.cluster.start_run(dag_id, run), prefix, rows or prefix, names)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask Airflow's database itself, or change it with a statement that returns something."""
        database = psycopg2.connect(host=HOST, port=self.postgresql_port, user=USER, dbname=USER)
        with closing(database), database as connection:
            cursor = connection.cursor()
            cursor.execute(statement, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def is_known(self, job_id: str) -> bool:
        """Whether a task has recorded this job, so that a later try can close it."""
        return bool(self.query("SELECT 1 FROM task_state_store WHERE value LIKE %s", f"%{job_id[:15]}%"))

    def write_inputs(self, prefix: str, files: int, rows: int, *, width: int = 0) -> list[str]:
        """Put CSV files into the lake; give the names that are in them.

        :param width: characters in each row besides
        """
        names = [f"{prefix} {file:04}-{row:05}" for file in range(files) for row in range(rows)]
        for file in range(files):
            text = "Name,Description\n" if width else "Name\n"
            besides = f",{'x' * width}\n" if width else "\n"
            text += "".join(f"{name}{besides}" for name in names[file * rows : (file + 1) * rows])
            self.lake.put_object(Bucket=BUCKET, Key=f"{prefix}/in/{file:04}.csv", Body=text.encode())
        return names

    def objects(self, folder: str) -> dict[str, bytes]:
        """Read all objects below a folder, by their keys."""
        pages = self.lake.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{folder}/")
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {key: self.lake.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def stored(self, prefix: str) -> list[str]:
        """Read the names that the org has, each as often as it is there, from the org's own database."""
        with closing(sqlite3.connect(f"{self.home / 'org.sqlite'}?mode=ro".join(("file:", "")), uri=True)) as database:
            found = database.execute("SELECT Name FROM Account WHERE IsDeleted = 0 AND Name LIKE ?", (f"{prefix} %",))
            return sorted(name for (name,) in found)

    def state(self) -> dict[str, Any]:
        """Read the org's jobs and the calls it got."""
        with urlopen(f"{self.org.start_line['url']}/local-org/state") as reply:
            state: dict[str, Any] = json.load(reply)
        return state

    def hold(self, method: str, path: str, *, halfway: bool = False) -> None:
        """Wait until the org has answered such a call, and keep its reply from the one who asked.

        :param halfway: wait until it has the first half of such a call, and keep the second one
        """
        self.org_gate.hold(method, path, halfway=halfway)
        self.cluster.wait_for(self.org_gate.is_holding.is_set, f"a call {method} {path}")


@dataclass
class Run:
    """A run of one of the two DAGs.

    :ivar beside: further runs that a scenario has started
    """

    world: World
    dag_id: str
    run_id: str
    prefix: str
    rows: str
    names: list[str]
    beside: list[Run] = field(default_factory=list)

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The instances of its last task."""
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances?limit=1000"
        found = self.world.cluster.call("GET", path)["task_instances"]
        return [each for each in found if each["task_id"] in ("load", "extract")]

    def wait_until_deferred(self, number: int = 1) -> None:
        """Wait until so many of its tasks wait in a triggerer."""
        self.world.cluster.wait_for(
            lambda: sum((each["trigger"] or {}).get("triggerer_id") is not None for each in self.tasks) >= number,
            f"{number} tasks of {self.prefix} wait in a triggerer",
        )

    def logs(self) -> str:
        """Read what its tasks have logged in all tries."""
        folder = self.world.cluster.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        return "".join(path.read_text(errors="replace") for path in sorted(folder.rglob("attempt=*.log")))

    def clear(self) -> None:
        """Do as a person does who clears the run's tasks."""
        body = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": [self._task_id], "only_failed": False}
        self.world.cluster.call("POST", f"/api/v2/dags/{self.dag_id}/clearTaskInstances", body)

    def finish(self) -> str:
        """Wait for its end; give its state."""
        return self.world.cluster.finish_run(self.dag_id, self.run_id, seconds=FINISH_SECONDS)

    @property
    def tries(self) -> int:
        """How many tries its tasks have had, and those of the runs beside it."""
        return sum(each["try_number"] for run in (self, *self.beside) for each in run.tasks)

    @property
    def _task_id(self) -> str:
        return self.dag_id.removeprefix("scale_")

    def differences(self) -> list[str]:
        """Wait for its end and say what is not as it must be.

        Every row is once in the org, the results are whole, and nothing is left over.
        """
        state = self.finish()
        found = [] if state == "success" else [f"the run ended {state}: {self._failures()}"]
        stored = Counter(self.world.stored(self.rows))
        found += _compare("in the org", stored, self.names)
        folder = f"{self.prefix}/{'results' if self.dag_id == 'scale_load' else 'extract'}"
        objects = self.world.objects(folder)
        read = Counter(name for key, body in objects.items() if key.endswith(".csv") for name in _names(body))
        found += _compare("in the files", read, self.names)
        found += [f"left over: {key}" for key in objects if _is_left_over(key)]
        return found + [difference for run in self.beside for difference in run.differences()]

    def _failures(self) -> str:
        return ", ".join(f"{each['task_id']}[{each['map_index']}] {each['state']}" for each in self.tasks)


def _compare(where: str, found: Counter[str], names: list[str]) -> list[str]:
    wanted = Counter(names)
    missing, extra = wanted - found, found - wanted
    report = [f"{missing.total()} rows missing {where}"] if missing else []
    return [*report, *([f"{extra.total()} rows too many {where}"] if extra else [])]


def _names(body: bytes) -> Iterator[str]:
    return (row["Name"] for row in csv.DictReader(io.StringIO(body.decode(), newline="")))


def _is_left_over(key: str) -> bool:
    name = key.rpartition("/")[2]
    return name.endswith(".part") or name.startswith(("_part-", "_publishing")) or ".part." in name


@contextmanager
def running(
    *, workers: int, job_seconds: float, keep: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[World]:
    """Start everything; end everything.

    :param settings: further ones of Airflow, as variables
    :param keep: leave the folder with all logs
    """
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="sfbulk-scale-"))
        if not keep:
            stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o755)  # PostgreSQL runs as another user
        org = stack.enter_context(OrgProcess(schema=SCHEMA, data=home / "org.sqlite", job_seconds=job_seconds))
        ports = {
            "org": urlsplit(org.start_line["url"]).port,
            "postgresql": stack.enter_context(postgresql(home / "postgresql")),
            "redis": stack.enter_context(redis(home / "redis")),
            "s3": (s3_port := stack.enter_context(s3(home / "s3"))),
        }
        disk = home / "disk"
        has_disk = stack.enter_context(small_disk(disk))
        gates = {name: stack.enter_context(Gate(port or 0)) for name, port in ports.items()}
        lake = boto3.client(
            "s3",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
            endpoint_url=f"http://{HOST}:{s3_port}",
        )
        lake.create_bucket(Bucket=BUCKET)
        cluster = Cluster(
            home / "airflow",
            DAGS,
            {**_connections(org, gates), "TMPDIR": str(disk), **(settings or {})},
            postgresql=gates["postgresql"].port,
            redis=gates["redis"].port,
            workers=workers,
        )
        stack.enter_context(cluster)
        yield World(
            home,
            cluster,
            org,
            gates["org"],
            gates["postgresql"],
            gates["redis"],
            gates["s3"],
            ports["postgresql"] or 0,
            disk if has_disk else None,
            lake,
        )


def _connections(org: OrgProcess, gates: Mapping[str, Gate]) -> dict[str, str]:
    address = org.start_line["url"]
    behind = address.replace(str(urlsplit(address).port), str(gates["org"].port))
    aws = {
        "conn_type": "aws",
        "login": "key",
        "password": "secret",
        "extra": {"region_name": "us-east-1", "endpoint_url": f"http://{HOST}:{gates['s3'].port}"},
    }
    return {
        "AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection.replace(address, behind),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
    }
