"""Build the site into ``build/docs/site``: ``python -m docs_site``. Warnings are errors.

Each version has its folder. ``versions.json`` lists those that are there, for the site's menu of versions, and the front
page leads to the newest. To publish, copy the folder over the one that is served: the other versions' folders stay.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from docs_site.assemble import ROOT, assemble

FOLDER = ROOT / "build" / "docs"


def list_versions(site: Path) -> list[str]:
    """Give the versions that are there, the newest first."""
    there = [each.name for each in site.iterdir() if (each / "index.html").exists()]
    return sorted(there, key=lambda name: [int(part) for part in re.findall(r"\d+", name)], reverse=True)


def builder(configuration: Path) -> list[str | Path]:
    """Give the command that builds a site, and fails for a link or an anchor that leads nowhere."""
    return [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict", "-f", configuration]


def main() -> int:
    """Build; 1 when something is not as it must be."""
    current = version("airflow-provider-sfbulk")
    configuration = assemble(FOLDER, current)
    if subprocess.run(builder(configuration), check=False).returncode:
        return 1
    site = FOLDER / "site"
    versions = list_versions(site)
    (site / "versions.json").write_text(
        json.dumps(
            [{"version": each, "title": each, "aliases": ["latest"] * (each == versions[0])} for each in versions]
        )
    )
    (site / "index.html").write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={versions[0]}/">\n')
    print(f"{site}: {', '.join(versions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
