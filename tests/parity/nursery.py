"""``python -m tests.parity.nursery``: runs the tests of each mutant's lines against it, each in a process of its own.

What the product imports of others is loaded once; the processes are forked from there, before any of the product itself
is. Writes one line of JSON a mutant: what it is, the lines that were caught, and the end of what pytest wrote.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from tests.parity.lines import Parity
from tests.parity.mutants import MUTANTS, Mutant

AT_ONCE: Final = 2
LOADED: Final = (
    *("cryptography.hazmat.primitives.serialization", "defusedxml.ElementTree", "httpx", "hypothesis", "jwt", "lark"),
    *(
        "numpy",
        "pandas",
        "polars",
        "pyarrow.compute",
        "pyarrow.csv",
        "pyarrow.parquet",
        "requests",
        "starlette.testclient",
    ),
    *("starlette.applications", "uvicorn", "xdist"),
)
OPTIONS: Final = (
    "-W",
    "ignore:Module already imported",
    "-p",
    "tests.parity.mutate",
    "-p",
    "no:cacheprovider",
    "-o",
    "addopts=",
    "-q",
)
PARITY: Final = Parity()


def tests_of(mutant: Mutant) -> list[str]:
    """The tests of a mutant's lines: those without Airflow, when a line has any."""
    found: set[str] = set()
    for line in mutant.lines:
        tests = PARITY.tests.get(line, [])
        found.update([test for test in tests if test.startswith("client/")] or tests)
    return sorted(f"tests/{test}" for test in found)


def run(mutant: Mutant, folder: Path) -> None:
    """Run them in this process, which ends with that."""
    os.environ["SFBULK_MUTANT"] = json.dumps(mutant.to_dict())
    os.environ["SFBULK_CAUGHT"] = str(folder / "caught")
    with (folder / "out").open("wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    try:
        pytest.main([*OPTIONS, *tests_of(mutant)])
    except BaseException:
        traceback.print_exc()
    with suppress(BaseException):
        atexit._run_exitfuncs()
    os._exit(0)


def main(names: list[str]) -> None:
    for name in LOADED:
        with suppress(ImportError):
            import_module(name)
    waiting = [mutant for mutant in MUTANTS if not names or mutant.what in names]
    running: dict[int, tuple[Mutant, Path]] = {}
    folder = tempfile.mkdtemp()  # no TemporaryDirectory: the end of each process would remove it
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                mutant = waiting.pop(0)
                place = Path(tempfile.mkdtemp(dir=folder))
                sys.stdout.flush()
                child = os.fork()
                if not child:
                    run(mutant, place)
                running[child] = (mutant, place)
            mutant, place = running.pop(os.wait()[0])
            caught = place / "caught"
            found = json.loads(caught.read_text(encoding="utf-8")) if caught.exists() else None
            told = (place / "out").read_text(encoding="utf-8", errors="replace")[-1000:]
            print(json.dumps({"what": mutant.what, "caught": found, "told": told}), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
