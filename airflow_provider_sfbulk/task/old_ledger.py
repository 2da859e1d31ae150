"""Reads ledger entries that a try of version 0.1.0 wrote: one value with everything about the load, rewritten at each
step, and blocks of a hundred entries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

BLOCK_ENTRIES: Final = 100

JOB: Final = ("job_id", "records", "length", "sha256")
"""What a decision names of each of its jobs."""


class OldTry:
    """A try that began with that version.

    :param head: its value under ``sfbulk.t<try>``
    :param read: reads a value by its key
    """

    def __init__(self, number: int, head: Mapping[str, Any], read: Callable[[str], Any]) -> None:
        self._number = number
        self._head = head
        self._read = read

    def get(self, name: str) -> Any:
        """Return what is known under a name of the present ledger. How Airflow took the try's end was not recorded."""
        group, _, number = name.partition(".")
        if name == "load":
            return {each: self._head[each] for each in ("load", "max_tries") if each in self._head}
        if group == "end" and name in self._head:
            return self._decided(name, number)
        if group == "window":
            return self._window(number)
        if name in self._head or not number.isdigit() or group == "end":
            return self._head.get(name)
        entry = self._entry(self._number, name)
        if entry is not None and "soql" in self._head["plan"]:
            known = {each: entry[each] for each in ("job_id", "batch_id", "api_version") if each in entry}
            entry = {**known, "plan": plan_digest(self._head["plan"])}
        return entry

    def _window(self, of: str) -> dict[str, Any] | None:
        kept = self._read(f"sfbulk.t{self._number}.window")
        if kept is None or plan_digest(kept["of"]) != of:
            return None
        return {each: kept[each] for each in ("since", "until")}

    def _decided(self, name: str, number: str) -> dict[str, Any]:
        """Return a decision with its jobs; those of Bulk API 1.0 are separate entries in both versions."""
        decided: dict[str, Any] = self._head[name]
        jobs: dict[str, Any] = {}
        if "mode" not in decided:
            jobs = {"jobs": []}
            for at in range(decided["parts"]):
                part = self._entry(decided["attempt"], f"{number}.{at}") or {}
                jobs["jobs"].append([part.get(each) for each in JOB])
                if not part:
                    break
        return {**decided, **jobs, **(self._plan() if name == "end.0" else {})}

    def _entry(self, attempt: int, name: str) -> Any:
        group, _, number = name.partition(".")
        return (self._read(f"sfbulk.t{attempt}.{group}.{int(number) // BLOCK_ENTRIES}") or {}).get(name)

    def _plan(self) -> dict[str, Any]:
        """Return the plan, without what compared files by size and time, and callables without their arguments."""
        plan = dict(self._head["plan"])
        source = plan.pop("source")
        if isinstance(source, str) and source.startswith("<") and not source.startswith("<callable"):
            return {"plan": {**plan, "source": source}}
        files = [[0, _path_of(file["name"])] for file in source] if isinstance(source, list) else None
        return {"plan": plan, "unknown": ["source"], "files": files}


def _path_of(name: str) -> str:
    """Return a file's path; the name of an object was a URI, perhaps with the connection in it."""
    scheme, _, rest = name.rpartition("://")
    return rest.rpartition("@")[2] if scheme else rest


def plan_digest(plan: Mapping[str, Any]) -> str:
    """Return a digest that distinguishes plans."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()[:16]
