"""Another task that wants the folder of the one that is simulated."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.files.paths import Location
from airflow_provider_sfbulk.files.task_folder import MANIFEST, TaskFolder, Writer
from tests.simulator.invariants import claim
from tests.simulator.world.storage import Files, Folder


class _Undisturbed(Folder):
    """A folder in which nothing goes wrong, and in which nobody else gets a turn."""

    def meet(self, what: str) -> str | None:
        return None


def intrude(files: Files, rng: Random, ti: Any) -> None:
    """Let another task, or another map index, begin to write into the folder, at any step of the one that is simulated.

    It must be refused while that is at work there or its manifest stands, and must change nothing.

    :param ti: names the task instance that is simulated
    """
    world: Any = SimpleNamespace(fault_here=lambda *_: None, is_newest=lambda _: True, files_changed=lambda: None)
    process: Any = SimpleNamespace(is_dead=False, number=0, open_files=set())
    output = _Undisturbed("memory://results", files, process, world)
    own = Writer.of(ti)
    other = rng.choice(
        (
            Writer(own.dag_id, "other", own.run_id, own.map_index),
            Writer("other", own.task_id, own.run_id, own.map_index),
            Writer(own.dag_id, own.task_id, own.run_id, own.map_index + 1),
        )
    )
    before = dict(files.whole)
    stranger = TaskFolder(output, output, Location("memory", "results", argument="results_path"), other, 1)
    is_held = any(name == MANIFEST or name.startswith("_writing-") for name in before)
    try:
        with stranger:
            stranger.claim()
            claim(not is_held, f"{other} may write into a folder that another task is at work in")
            raise SourceError("it leaves")
    except SourceError:
        claim(files.whole == before, "another task has changed the folder, although it was refused or has left")
