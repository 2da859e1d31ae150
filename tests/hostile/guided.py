"""The parsers under bytes that coverage guides: ``python -m tests.hostile.guided [-max_total_time=N]``; needs atheris.

The first byte chooses the parser, the rest is its input. The options are libFuzzer's. What it finds is saved in the current
folder as ``crash-…``: give that file as the argument to see it again, and the table of bad inputs a line.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, Final

REPLIES: Final = (
    ("get", 200, "application/json"),
    ("list", 200, "application/json"),
    ("get", 400, "application/json"),
    ("pages", 200, "text/csv"),
    ("job of 1.0", 200, "application/xml"),
    ("batches of 1.0", 200, "application/xml"),
    ("job of 1.0", 400, "application/xml"),
    ("results of 1.0, CSV", 200, "text/csv"),
    ("results of 1.0, XML", 200, "application/xml"),
    ("results of 1.0, JSON", 200, "application/json"),
)
"""Calls with the status and the type of what answers them (``ways.py``)."""


def one_input(judged: Callable[..., Any], reply: Callable[..., Any], data: bytes) -> None:
    """Let one input come in: as a CSV, or as the answer to a call."""
    chosen = data[0] % (len(REPLIES) + 1) if data else 0
    if chosen == len(REPLIES):
        judged("rows", data[1:])
        return
    call, status, kind = REPLIES[chosen]
    headers = {"content-type": kind, "sforce-locator": "null", "sforce-numberofrecords": "1"}
    judged("reply", call, reply(status, headers, data[1:]))


def main() -> None:
    """Fuzz until libFuzzer's options say stop."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["airflow_provider_sfbulk"]):
        judge: Any = importlib.import_module("tests.hostile.judge")
        effects: Any = importlib.import_module("airflow_provider_sfbulk.client.effects")
    atheris.Setup(sys.argv, lambda data: one_input(judge.judged, effects.Reply, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
