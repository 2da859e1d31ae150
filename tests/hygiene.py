"""What is shipped, and on what it stands: ``python -m tests.hygiene [licences | bill | wheel]``, by default all.

==========  ===========================================================================================================
licences    of every distribution that the package needs, as its metadata says them; those of unknown licence fail
bill        a bill of materials in CycloneDX's JSON, of the same distributions, in ``dist/bill.json``
wheel       two builds from two copies, with one ``SOURCE_DATE_EPOCH``: one hash
==========  ===========================================================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "airflow-provider-sfbulk"
EPOCH = "1735689600"
_REQUIRED = re.compile(r"^[A-Za-z0-9._-]+")


def needed(name: str = NAME, seen: set[str] | None = None) -> Iterator[Distribution]:
    """Give the distributions that the package needs, and those that they need; without extras."""
    seen = set() if seen is None else seen
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    seen.add(key)
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    yield found
    for requirement in found.requires or ():
        if "extra ==" not in requirement and (match := _REQUIRED.match(requirement)):
            yield from needed(match[0], seen)


def licence_of(each: Distribution) -> str:
    """Give a distribution's licence, as its metadata says it."""
    said = each.metadata.get("License-Expression") or ""  # type: ignore[attr-defined]
    classified = [line.rpartition("::")[2].strip() for line in each.metadata.get_all("Classifier") or ()
                  if line.startswith("License ::")]  # fmt: skip
    written = (each.metadata.get("License") or "").strip().splitlines()  # type: ignore[attr-defined]
    return said or ", ".join(classified) or (written[0][:60] if written else "")


def licences() -> bool:
    """List the licences; False when one is not said."""
    unknown = []
    for each in sorted(needed(), key=lambda each: each.metadata["Name"].lower()):
        licence = licence_of(each)
        print(f"{each.metadata['Name']} {each.version}: {licence or 'not said'}")
        if not licence:
            unknown.append(each.metadata["Name"])
    print(f"not said: {', '.join(unknown) or 'none'}")
    return not unknown


def bill() -> bool:
    """Write the bill of materials."""
    components = [
        {
            "type": "library",
            "name": each.metadata["Name"],
            "version": each.version,
            "purl": f"pkg:pypi/{re.sub(r'[-_.]+', '-', each.metadata['Name']).lower()}@{each.version}",
            "licenses": [{"license": {"name": licence_of(each) or "not said"}}],
        }
        for each in needed()
    ]
    made = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}
    path = ROOT / "dist" / "bill.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(made, indent=1), encoding="utf-8")
    print(f"{path}: {len(components)} components")
    return len(components) > 1


def wheel() -> bool:
    """Build the wheel twice; True when both have one hash."""
    hashes = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            shutil.copytree(
                ROOT,
                copy,
                ignore=shutil.ignore_patterns(".venv", ".versions", ".git", "dist", ".demo", "*_cache", "__pycache__"),
            )
            command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", folder, str(copy)]
            if shutil.which("uv"):
                command = ["uv", "build", "--quiet", "--wheel", "--out-dir", folder, str(copy)]
            subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
            (made,) = Path(folder).glob("*.whl")
            hashes.append(hashlib.sha256(made.read_bytes()).hexdigest())
            print(f"{made.name}: sha256 {hashes[-1]}")
    return hashes[0] == hashes[1]


CHECKS = {"licences": licences, "bill": bill, "wheel": wheel}


def main() -> int:
    """Do what is asked for; 1 when something is not as it must be."""
    wanted = sys.argv[1:] or list(CHECKS)
    results = {name: CHECKS[name]() for name in wanted}
    print(", ".join(f"{name}: {'good' if good else 'NOT GOOD'}" for name, good in results.items()))
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
