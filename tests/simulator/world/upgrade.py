"""What version 0.1.0 would have written: one value for all that a try knows of its load or query, and blocks of entries.

The other way round than the product's ``task/old_ledger.py``, for a first try that an older worker ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_sfbulk.task.old_ledger import BLOCK_ENTRIES, plan_digest

NEWER: Final = frozenset({"plan", "files", "jobs"})
"""What a decision names since then."""

OF_JOB: Final = frozenset({"header", "wide", "doubt", "shown"})
"""What is known of a query's job: keys of their own since then, with the job's id instead of its generation."""


@dataclass(frozen=True)
class Asked:
    """What a query may have asked for, which is stored as digests since then.

    :param plans: by what the DAG file says or has said, without a window
    :param window_of: what makes a window another one; None without windows
    """

    plans: Sequence[Mapping[str, Any]]
    window_of: Mapping[str, Any] | None


def to_old(values: Mapping[str, Any], *, asked: Asked | None, max_tries: int) -> dict[str, Any]:
    """Give the store's content as a first try of 0.1.0 leaves it.

    :param values: what a first try of this version has written
    :param asked: of a query
    :param max_tries: as Airflow counted them in that try
    """
    own = {key.removeprefix("sfbulk.try1."): value for key, value in values.items()}
    if "load" not in own:
        return {}
    made = _load(own) if asked is None else _query(own, asked)
    if made is None:
        return {}
    head, others = made
    head = {"load": 1, **head, "max_tries": max_tries}
    for name in ("verdict", "done"):
        if name in own:
            head[name] = {key: own[name].get(key) for key in ("round", "result") if key in own[name]}
            head[name]["max_tries"] = max_tries
    if "given_up" in own:
        head["given_up"] = {}
    return {"sfbulk.t1": head, **others}


def _load(own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    plan: dict[str, Any] = {"source": "<records>"}
    if "end.0" in own:
        plan = dict(own["end.0"]["plan"])
        if not (isinstance(plan["source"], str) and plan["source"].startswith("<")):
            files = [{"name": f"memory://{path}", "bytes": 1, "tag": "1"} for _, path in own["end.0"]["files"] or ()]
            plan["source"] = files or "<callable tests.source>"
    head: dict[str, Any] = {"plan": plan}
    entries: dict[str, Any] = {}
    for name, value in own.items():
        if name.startswith("end."):
            head[name] = {key: each for key, each in value.items() if key not in NEWER}
        elif name[0].isdigit():
            entries[name] = {**{key: each for key, each in value.items() if key != "spec"}, "header": '"Id"'}
    return head, _blocks(entries)


def _query(own: Mapping[str, Any], asked: Asked) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Give head and blocks. A query that was to know its window first and has none has written nothing."""
    plans = [dict(plan) for plan in asked.plans]
    others: dict[str, Any] = {}
    if asked.window_of is not None:
        window = own.get(f"window.{plan_digest(asked.window_of)}")
        if window is None:
            return None
        plans = [{**plan, "window": dict(window)} for plan in plans]
        others["sfbulk.t1.window"] = {**window, "of": dict(asked.window_of)}
    head: dict[str, Any] = {"plan": plans[0]}
    entries: dict[str, Any] = {}
    generations = {value["job_id"]: int(name.partition(".")[2]) for name, value in own.items() if name.startswith("0.")}
    for name, value in own.items():
        group, _, rest = name.partition(".")
        if group == "0":
            (head["plan"],) = (plan for plan in plans if plan_digest(plan) == value["plan"])
            entries.setdefault(name, {})["job_id"] = value["job_id"]
        elif group.isdigit():
            job_id, what, number = rest.split(".")
            generation = generations[job_id]
            if what in OF_JOB:
                entries.setdefault(f"0.{generation}", {})[what] = number
            else:
                entries[f"{generation + 1}.{number}"] = {**value, "setup": what}
    return head, {**others, **_blocks(entries)}


def _blocks(entries: Mapping[str, Any]) -> dict[str, Any]:
    blocks: dict[str, dict[str, Any]] = {}
    for name, entry in entries.items():
        group, _, number = name.partition(".")
        blocks.setdefault(f"sfbulk.t1.{group}.{int(number) // BLOCK_ENTRIES}", {})[name] = entry
    return blocks
