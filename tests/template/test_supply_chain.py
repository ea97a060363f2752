"""Whatever is fetched is pinned, and what is deployed is listed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
LAYER = ROOT / "layers" / "shared" / "requirements.txt"
LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), LAYER]


@pytest.fixture(scope="module")
def bom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The list of what is deployed, as `make build` writes it."""
    target = tmp_path_factory.mktemp("bom") / "bom.json"
    subprocess.run([sys.executable, ROOT / "scripts" / "bom.py", target], check=True)
    said: dict[str, Any] = json.loads(target.read_text())
    return said


def test_the_list_of_what_is_deployed_is_cyclonedx(bom: dict[str, Any]) -> None:
    """As its own schema says."""
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom))
    assert wrong is None, wrong


def test_each_package_is_listed_with_version_hashes_and_licence(bom: dict[str, Any]) -> None:
    """And nothing else: some are locked for other systems only, and for Lambda none is."""
    listed = {(each["name"], each["version"]): each for each in bom["components"]}
    locked = set(re.findall(r"^([\w.-]+)==([\w.]+)", LAYER.read_text(), re.MULTILINE))
    assert {name for name in listed if name[0] != "ffmpeg"} == locked
    for name, version in locked:
        each = listed[name, version]
        assert each["purl"] == f"pkg:pypi/{name}@{version}"
        assert all(f"sha256:{one['content']}" in LAYER.read_text() for one in each["hashes"])
        assert each["hashes"]
        assert "unknown" not in json.dumps(each["licenses"])


def test_ffmpeg_is_listed_with_version_source_and_licence(bom: dict[str, Any]) -> None:
    """So that whoever reads of a flaw in it knows."""
    makefile = (ROOT / "layers" / "ffmpeg" / "Makefile").read_text()
    [ffmpeg] = [each for each in bom["components"] if each["name"] == "ffmpeg"]
    assert f"VERSION := {ffmpeg['version']}\n" in makefile
    [source] = ffmpeg["externalReferences"]
    assert source["url"].endswith(f"/ffmpeg-{ffmpeg['version']}.tar.xz")
    assert f":= {source['hashes'][0]['content']}\n" in makefile
    assert ffmpeg["licenses"] == [{"license": {"id": "LGPL-2.1-or-later"}}]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
@pytest.mark.attacks("a package of the same version with other contents")
def test_whatever_is_installed_is_locked_by_its_hash(lock: Path) -> None:
    """Each version exactly, each with its files' SHA-256, and from no named place."""
    text = lock.read_text()
    blocks = [each for each in re.split(r"\n(?=\S)", text) if not each.startswith("#")]
    assert blocks
    for block in blocks:
        assert re.match(r"[\w.\[\]-]+==[\w.!+]+", block), block[:60]
        assert "--hash=sha256:" in block, block[:60]
    assert "://" not in re.sub(r"^ *#.*", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
@pytest.mark.attacks("an action whose tag was moved to other code")
def test_each_action_is_pinned_by_its_commit(workflow: Path) -> None:
    """With the version that it has, in a comment."""
    used = re.findall(r"uses: *(.+)", workflow.read_text())
    assert used
    for each in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_scripts_install_nothing_without_hashes() -> None:
    """Nor does the command that brings uv."""
    for script in (ROOT / "scripts").glob("*.sh"):
        text = re.sub(r"\\\n", " ", script.read_text())
        for line in text.splitlines():
            installs = re.search(r"pip (install|sync)\b", line)
            if installs and "--editable" not in line:
                assert "--require-hashes" in line, f"{script.name}: {line}"
