"""Writes the list of what is deployed, as CycloneDX has it: our own package, the layer's, ffmpeg.

    bom.py TARGET                    from the locked requirements and the ffmpeg layer's Makefile
    bom.py TARGET --built FOLDER     the same, if what sam built there holds that and nothing else

The same sources make the same list: it has no time and no random number.
https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "layers" / "shared" / "requirements.txt"
MAKEFILE = ROOT / "layers" / "ffmpeg" / "Makefile"
LAMBDA = {
    "implementation_name": "cpython",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
"""Where it runs: some packages are locked for other systems only."""
OWN = "legato"

type Json = dict[str, Any]


def bom() -> Json:
    """Return the list."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    components = [*map(_package, _locked()), _ffmpeg()]
    own = {
        "type": "application",
        "bom-ref": OWN,
        "name": project["name"],
        "version": project["version"],
        "description": project["description"],
        "licenses": [{"license": {"id": project["license"]}}],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": components,
        "dependencies": [
            {"ref": OWN, "dependsOn": [component["bom-ref"] for component in components]}
        ],
    }


def strangers(built: Path) -> list[str]:
    """Return what a built layer has that the list has not, or the other way round."""
    [folder] = [path for path in built.glob("SharedLayer*/python") if path.is_dir()]
    there = {
        (canonicalize_name(each.name), each.version)
        for each in metadata.distributions(path=[str(folder)])
    }
    listed = {(canonicalize_name(each.name), version) for each, version, _ in _locked()}
    return sorted(f"{name} {version}" for name, version in there ^ listed)


def _locked() -> Iterator[tuple[Requirement, str, list[str]]]:
    """Yield what is locked for Lambda: requirement, version, and the SHA-256 of its files."""
    lines = re.sub(r"\\\n", " ", LOCK.read_text()).splitlines()
    for line in lines:
        said, *hashes = re.split(r"\s+--hash=sha256:", line.partition("#")[0].strip())
        if not said:
            continue
        requirement = Requirement(said)
        if requirement.marker is None or requirement.marker.evaluate(LAMBDA):
            [version] = [each.version for each in requirement.specifier]
            yield requirement, version, hashes


def _package(locked: tuple[Requirement, str, list[str]]) -> Json:
    requirement, version, hashes = locked
    name = canonicalize_name(requirement.name)
    url = f"pkg:pypi/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": version,
        # Any one of these files may be the one that is installed.
        "hashes": [{"alg": "SHA-256", "content": each} for each in hashes],
        "licenses": _licences(name),
        "purl": url,
        "properties": [{"name": "legato:layer", "value": "SharedLayer"}],
    }


def _licences(name: str) -> list[Json]:
    """Return what an installed package says of its licence, which may be much or little."""
    said = metadata.metadata(name)
    if expression := said.get("License-Expression"):
        return [{"expression": expression}]
    classified = [
        each.rpartition(" :: ")[2]
        for each in said.get_all("Classifier") or ()
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    names = classified or [said.get("License") or "unknown"]
    return [{"license": {"name": each.splitlines()[0]}} for each in names]


def _ffmpeg() -> Json:
    said = dict(re.findall(r"^(VERSION|URL|SHA256) +:= (.+)$", MAKEFILE.read_text(), re.MULTILINE))
    version = said["VERSION"]
    return {
        "type": "application",
        "bom-ref": f"ffmpeg@{version}",
        "name": "ffmpeg",
        "version": version,
        "description": "ffmpeg, built from source with what recordings need, static.",
        "licenses": [{"license": {"id": "LGPL-2.1-or-later"}}],
        "cpe": f"cpe:2.3:a:ffmpeg:ffmpeg:{version}:*:*:*:*:*:*:*",
        "purl": f"pkg:generic/ffmpeg@{version}",
        "externalReferences": [
            {
                "type": "source-distribution",
                "url": said["URL"].replace("$(VERSION)", version),
                "hashes": [{"alg": "SHA-256", "content": said["SHA256"]}],
            }
        ],
        "properties": [{"name": "legato:layer", "value": "FfmpegLayer"}],
    }


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("target", type=Path)
    parser.add_argument("--built", type=Path, help="what sam has built")
    asked = parser.parse_args()
    if asked.built and (found := strangers(asked.built)):
        sys.exit(f"bom: the layer is not what is locked: {', '.join(found)}: run make build again")
    asked.target.write_text(json.dumps(bom(), indent=2) + "\n")
    print(f"bom: {asked.target}")


if __name__ == "__main__":
    main()
