"""What version 0.1.0 would have written: one value for all that a try knows of its load, and blocks of entries.

The other way round than the product's ``task/old_ledger.py``, for a first try that an older worker ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_provider_sfbulk.task.old_ledger import BLOCK_ENTRIES

NEWER: Final = frozenset({"plan", "files", "jobs"})
"""What a decision names since then."""


def to_old(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the store's content as a first try of 0.1.0 leaves it.

    :param values: what a first try of this version has written
    """
    own = {key.removeprefix("sfbulk.try1."): value for key, value in values.items()}
    if "load" not in own:
        return {}
    plan: dict[str, Any] = {"source": "<records>"}
    if "end.0" in own:
        plan = dict(own["end.0"]["plan"])
        if not (isinstance(plan["source"], str) and plan["source"].startswith("<")):
            files = [{"name": f"memory://{path}", "bytes": 1, "tag": "1"} for _, path in own["end.0"]["files"] or ()]
            plan["source"] = files or "<callable tests.source>"
    head: dict[str, Any] = {"load": 1, "plan": plan, "max_tries": 1}
    blocks: dict[str, dict[str, Any]] = {}
    for name, value in own.items():
        group, _, number = name.partition(".")
        if group == "end":
            head[name] = {key: each for key, each in value.items() if key not in NEWER}
        elif name == "verdict":
            head[name] = {"round": value["round"], "max_tries": 1}
        elif name == "done":
            head[name] = {"result": value["result"], "max_tries": 1}
        elif name == "given_up":
            head[name] = {}
        elif group.isdigit():
            entry = {key: each for key, each in value.items() if key != "spec"}
            blocks.setdefault(f"sfbulk.t1.{group}.{int(number) // BLOCK_ENTRIES}", {})[name] = {
                **entry,
                "header": '"Id"',
            }
    return {"sfbulk.t1": head, **blocks}
