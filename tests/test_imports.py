"""The directions of import that keep the parts apart, read from the source.

::

    limits <- errors <- models <- auth, csv, values <- parts <- sources, results <- protocol
        <- waiting, extract, load, bulk1 <- check, compare <- http <- the public client
        <- hooks <- task, files, triggers, links <- arguments <- operators, sensors

``client`` and ``local_org`` share ``limits`` and nothing else, so that a mistake of one is seen by the other.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = "airflow_provider_sfbulk"
CLIENT: Final = f"{PACKAGE}.client"
LOCAL_ORG: Final = f"{PACKAGE}.local_org"

HTTP_LIBRARIES: Final = frozenset(
    {"requests", "httpx", "urllib3", "aiohttp", "http.client", "urllib.request", "socket", "starlette", "uvicorn"}
)

WITH_OTHERS: Final = {"airflow", "fastapi", "fsspec", "starlette", "jinja2", "sqlalchemy", "upath", "urllib3"}
"""Packages that another one brings and is built on: Airflow, requests."""

OPTIONAL: Final = {
    f"{PACKAGE}.assets": {"openlineage"},
    f"{PACKAGE}.task.lineage": {"openlineage"},
    f"{PACKAGE}.task.lineage.facet": {"openlineage", "attr"},
    f"{PACKAGE}.client.sources.compression": {"zstandard"},
    f"{PACKAGE}.client.sources.arrow": {"polars"},
    f"{PACKAGE}.demo.airports": {"airportsdata"},
}
"""What is imported where it is there, or where an extra has brought it."""

METADATA: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# What each part may import of this package besides itself, below the airflow folders and ``client`` in turn. A module is of
# the longest part that it begins with.
_AIRFLOW: Final[dict[str, str]] = {
    "limits": "",
    "get_provider_info": "",
    "assets": "client.arguments client.errors",
    "hooks": "client",
    "links": "",
    "plugin": "task.ended_by_person",
    "files": "client",
    "task": "client",
    "triggers": "client hooks task.reporter task.ended_by_person task.asset_state",
    "arguments": "client limits files",
    "arguments.query": "client limits arguments operators.incremental",
    "operators": "client limits hooks links triggers files task arguments",
    "sensors": "client hooks links triggers task arguments operators.task_run operators.verdict",
    "demo": "local_org client",
    "command": "client hooks limits",
    "local_org": "limits",
    "client": "limits",
}
_BASE: Final = "effects errors models replies"
"""What calls and replies are written with."""

_CLIENT: Final[dict[str, str]] = {
    "replies": "effects errors",
    "replies.safe_text": "",
    "errors": "replies.safe_text",
    "effects": "errors",
    "arguments": "errors",
    "soql": "errors",
    "models": "limits errors replies.safe_text",
    "local_path": "errors",
    "settings": "limits arguments errors local_path models replies.safe_text auth.hosts auth.private_key",
    "auth": f"limits {_BASE} settings",
    "http": "limits effects errors replies.safe_text auth settings protocol.org",
    "protocol": f"limits {_BASE} arguments",
    "protocol.changes": f"{_BASE} protocol soql",
    "waiting": f"{_BASE} arguments protocol bulk1.models bulk1.calls",
    "values": "",
    "csv": "limits errors models values",
    "parts": "limits effects errors models values csv",
    "sources": "limits errors models values csv parts",
    "results": "effects errors models csv values parts",
    "extract": f"limits {_BASE} arguments csv results protocol waiting values",
    "load": f"limits {_BASE} values csv parts results protocol waiting bulk1",
    "check": "limits errors models values csv parts results load",
    "compare": f"limits {_BASE} soql values csv parts results protocol extract load",
    "bulk1": f"limits {_BASE} arguments soql values csv parts results protocol waiting extract load",
    "bulk1.api": "limits effects errors models arguments ingest parts sources protocol waiting faces bulk1",
    "bulk1.results": f"{_BASE} csv results protocol waiting faces bulk1",
}


def _parts(table: dict[str, str], inside: str) -> dict[str, set[str]]:
    return {
        f"{inside}.{part}": {f"{PACKAGE if each == 'limits' else inside}.{each}" for each in named.split()}
        | {f"{inside}.{part}"}
        for part, named in table.items()
    }


ALLOWED: Final = {PACKAGE: {PACKAGE}, **_parts(_AIRFLOW, PACKAGE), **_parts(_CLIENT, CLIENT)}


def sources(part: str) -> Iterator[tuple[str, Path]]:
    """Give the modules of a part, with their files."""
    base = ROOT.joinpath(*part.split("."))
    for path in sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> set[str]:
    """Read every module that a file imports, anywhere in it, also for type checking only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                found.update(each.name for each in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for each in names:
                    inner = f"{module}.{each.name}"
                    found.add(inner if is_module(inner) else module)
            case ast.ImportFrom():
                raise AssertionError(f"{path}: imports are absolute here")
            case _:
                pass
    return found


def is_module(name: str) -> bool:
    base = ROOT.joinpath(*name.split("."))
    return base.with_suffix(".py").exists() or (base / "__init__.py").exists()


def is_in(module: str, part: str) -> bool:
    return module == part or module.startswith(f"{part}.")


def is_in_any(module: str, parts: Iterable[str]) -> bool:
    return any(is_in(module, part) for part in parts)


def named(wrong: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave the modules with something wrong."""
    return {module: what for module, what in wrong.items() if what}


def requirement_name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0].lower()


def part_of(module: str) -> str:
    return max((part for part in ALLOWED if is_in(module, part)), key=len)


@pytest.fixture(scope="module")
def imported_by() -> dict[str, set[str]]:
    """What each module of the package imports."""
    return {module: imports(path) for module, path in sources(PACKAGE)}


def test_the_parser_sees_imports_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(
        "import httpx\nfrom airflow_provider_sfbulk import limits\nfrom airflow_provider_sfbulk.client.errors import X\n"
        "def late():\n    import requests.adapters as a\n"
    )
    assert imports(path) == {"httpx", f"{PACKAGE}.limits", f"{CLIENT}.errors", "requests.adapters"}


def test_a_module_imports_only_what_its_part_may(imported_by: dict[str, set[str]]) -> None:
    wrong = {
        module: {each for each in imported if is_in(each, PACKAGE) and not is_in_any(each, ALLOWED[part_of(module)])}
        for module, imported in imported_by.items()
    }
    assert named(wrong) == {}


def test_neither_the_client_nor_the_local_org_knows_airflow(imported_by: dict[str, set[str]]) -> None:
    wrong = {
        module: {each for each in imported if is_in(each, "airflow")}
        for module, imported in imported_by.items()
        if is_in_any(module, {CLIENT, LOCAL_ORG})
    }
    assert named(wrong) == {}


def test_http_libraries_are_imported_by_drivers_only(imported_by: dict[str, set[str]]) -> None:
    wrong = {
        module: {each for each in imported if is_in_any(each, HTTP_LIBRARIES)}
        for module, imported in imported_by.items()
        if not is_in_any(module, {LOCAL_ORG, f"{CLIENT}.http", f"{PACKAGE}.demo"})
    }
    assert named(wrong) == {}


@pytest.mark.parametrize("part", [CLIENT, LOCAL_ORG, f"{LOCAL_ORG}.org", f"{LOCAL_ORG}.pytest_plugin"])
def test_airflow_is_not_imported_by_way_of_others(part: str) -> None:
    other = LOCAL_ORG if part == CLIENT else CLIENT
    code = f"import {part}, sys; assert not {{'airflow', '{other}'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_the_pytest_plugin_costs_other_projects_next_to_nothing() -> None:
    code = (
        f"import {LOCAL_ORG}.pytest_plugin, sys; "
        "assert not {'starlette', 'uvicorn', 'lark', 'pyarrow', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_what_a_module_imports_is_installed_with_the_package(imported_by: dict[str, set[str]]) -> None:
    """Every package that is imported is a dependency, or comes with Airflow itself, or is an extra that is looked for."""
    declared = {requirement_name(each) for each in METADATA["project"]["dependencies"]}
    distributions = packages_distributions()
    wrong = {}
    for module, imported in imported_by.items():
        if not is_in(module, LOCAL_ORG):
            tops = {each.partition(".")[0] for each in imported} - set(sys.stdlib_module_names) - {PACKAGE}
            foreign = {each for each in tops if not declared & {name.lower() for name in distributions.get(each, ())}}
            wrong[module] = foreign - WITH_OTHERS - OPTIONAL.get(module, set())
    assert named(wrong) == {}


def test_every_part_that_is_named_exists() -> None:
    named = {*ALLOWED, *(part for parts in ALLOWED.values() for part in parts)}
    assert {part for part in named if not is_module(part)} == set()


@pytest.mark.parametrize("tree", [PACKAGE, "tests"])
def test_no_folder_holds_more_than_twelve_files(tree: str) -> None:
    files = (path for path in (ROOT / tree).rglob("*.py") if "node_modules" not in path.parts)  # of `make npm-clients`
    held = Counter(path.parent for path in files)
    assert {str(folder): files for folder, files in held.items() if files > 12} == {}


def test_no_two_classes_have_one_name() -> None:
    """The local org and the client describe the same things, each in its own words; so do not count the local org."""
    homes: dict[str, list[str]] = {}
    for module, path in sources(PACKAGE):
        if not is_in(module, LOCAL_ORG):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Python before 3.11.5 matches ``(…)*+`` wrongly (gh-106052); ``(?>(…)*)`` means the same."""
    group = re.compile(r"\)(?:[*+?]|\{[^{}]*\})\+(?![ \w])")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / PACKAGE).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if group.search(line)
    ]
    assert found == []
