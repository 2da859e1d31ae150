"""The pages of the site in one folder: those of ``docs``, those at the root of the repository, and those that are made.

Links that lead out of ``docs`` are led to the site's page of that file, else to the repository, so that one text serves
readers of both.
"""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Final

from docs_site import error_pages, reference

ROOT: Final = Path(__file__).parents[1]
REPOSITORY: Final = "https://github.com/airflow-provider-sfbulk/airflow-provider-sfbulk"
SITE: Final = "https://airflow-provider-sfbulk.readthedocs.io/latest/"
"""Where pages in the repository find what is only on the site."""

CONFIGURATION: Final = Path(__file__).parent / "mkdocs.yml"

OUTSIDE: Final = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
"""Pages of the site that lie where readers of the repository look for them."""

_LINK: Final = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]*)(#[^)\s]*)?(?=\))")
_SITE_LINK: Final = re.compile(rf"(?<=\]\(){re.escape(SITE)}([^)#\s]+)")
_CELL_BAR: Final = re.compile(r"(?<=`)\\\|(?=`)|(?<=\w )\\\|(?= \w)")
"""A bar inside of code inside of a table: the repository's renderer wants it escaped, the site's does not."""

_FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


@cache
def made_pages() -> dict[str, str]:
    """Give the pages that are made, by their path on the site."""
    return {"decisions/index.md": decisions(), **reference.pages(), **error_pages.pages()}


def decisions() -> str:
    """List the decisions."""
    lines = [
        "# Decisions\n",
        "What shaped the code, and why. Newer ones say which older ones they change. Not every number was needed.\n",
    ]
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{title}]({path.name})")
    return "\n".join(lines)


def written_pages() -> dict[str, str]:
    """Give the pages that people wrote, by their path on the site."""
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix(): path for path in docs.rglob("*.md")}
    pages |= {page: ROOT / source for page, source in OUTSIDE.items()}
    return {page: led(path.read_text(encoding="utf-8"), path, page) for page, path in pages.items()}


def led(text: str, source: Path, page: str) -> str:
    """Give a page's text with its links as the site has them; blocks of code stay as they are."""
    text = _CELL_BAR.sub("|", text)
    text = _SITE_LINK.sub(lambda link: f"{'../' * page.count('/')}{link[1].rstrip('/')}.md", text)
    pieces, end = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(lambda link: _target(link, source, page), text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, _LINK.sub(lambda link: _target(link, source, page), text[end:])])


def _target(link: re.Match[str], source: Path, page: str) -> str:
    target, anchor = link[1], link[2] or ""
    if not target:
        return anchor
    if target.removeprefix("../") in made_pages():
        return link[0]
    path = (source.parent / target).resolve()
    to = path.relative_to(ROOT).as_posix()
    up = "../" * page.count("/")
    for site, outside in OUTSIDE.items():
        if to == outside:
            return f"{up}{site}{anchor}"
    if to == "docs/decisions":
        return f"{up}decisions/index.md{anchor}"
    if to.startswith("docs/"):
        return f"{up}{to.removeprefix('docs/')}{anchor}"
    return f"{REPOSITORY}/{'tree' if path.is_dir() else 'blob'}/main/{to}{anchor}"


def assemble(folder: Path, version: str) -> Path:
    """Write the pages and the configuration.

    :param folder: is emptied before, but for ``site``
    :param version: of the package, which the site's folder is named after
    :returns: the configuration to build with
    """
    docs = folder / "docs"
    shutil.rmtree(docs, ignore_errors=True)
    for page, text in {**written_pages(), **made_pages()}.items():
        path = docs / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "images", docs / "images")
    configuration = folder / "mkdocs.yml"
    text = CONFIGURATION.read_text(encoding="utf-8")
    configuration.write_text(f"docs_dir: docs\nsite_dir: site/{version}\n{text}", encoding="utf-8")
    return configuration
