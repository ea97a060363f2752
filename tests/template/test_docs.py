"""Whoever follows a link in the docs arrives, and finds each file that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.template.conftest import Template

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.is_file())
LINK = re.compile(r"\]\(\s*([^)\s]+)\s*\)")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"(?:\.\./)*((?:[\w-]+/|\{[\w,]+\}/)+[\w-]+\.(?:py|c))\b")
# A page may leave out where the package legato lies.
FOLDERS = (ROOT, ROOT / "layers" / "shared", ROOT / "layers" / "shared" / "legato")


def anchors(text: str) -> set[str]:
    """Return where links into a page may lead, as GitHub makes anchors of headings."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", text), re.MULTILINE)
    slugs = {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings
    }
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def each_of(path: str) -> list[str]:
    """Return the paths that `functions/{webhook,push}/app.py` stands for."""
    if (braces := re.search(r"\{([\w,]+)\}", path)) is None:
        return [path]
    names = braces[1].split(",")
    return [path[: braces.start()] + name + path[braces.end() :] for name in names]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    named = {one for path in FILE.findall(page.read_text()) for one in each_of(path)}
    missing = [one for one in named if not any((folder / one).is_file() for folder in FOLDERS)]
    assert sorted(missing) == []


def test_the_readme_leads_to_what_a_person_sees() -> None:
    """`make tour` records it: a picture that loads at once, and what commands print."""
    readme = (ROOT / "README.md").read_text()
    assert {"docs/tour.md", "docs/export.png"} <= set(LINK.findall(readme))
    picture = (ROOT / "docs" / "export.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 20_000 < len(picture) < 150_000
    tour = (ROOT / "docs" / "tour.md").read_text()
    for command in (
        "make demo",
        *(f"legato --local {name}" for name in ("find", "show", "status")),
    ):
        assert f"```\n$ {command}" in tour


def test_the_walk_of_a_notification_names_ten_files() -> None:
    """In docs/architecture.md, one file a line: the test above says that they exist."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    walk = text[text.index("## From a notification to a manifest") : text.index("## Words")]
    steps = re.findall(r"^\d+\. `([^`]+\.py)` ", walk, re.MULTILINE)
    assert len(set(steps)) == 10


def test_the_upgrade_page_names_what_stays(sam: Template) -> None:
    """The resources that no change set may replace, and that outlive the stack."""
    retained = {
        logical
        for logical, resource in sam.source["Resources"].items()
        if resource.get("DeletionPolicy", "").startswith("Retain")
    }
    upgrade, stays = (ROOT / "docs" / "upgrade.md").read_text().split("## What stays after")
    assert set(re.findall(r"\*\*([A-Z][A-Za-z]+)\*\*", upgrade)) == retained
    table = re.findall(r"^\| (.+?) \|", stays, re.MULTILINE)[1:]
    assert {name for name in retained for cell in table if name in cell} == retained
    assert retained == {
        logical
        for logical, resource in sam.source["Resources"].items()
        if resource.get("UpdateReplacePolicy") == "Retain"
    }
