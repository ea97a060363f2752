"""Deploys with sam from a checkout. What differs in the local system is app/local_deployer.py.

What sam prints is for people and goes to standard error as it comes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from legato.errors import Failed, Refused
from legato.setup import samconfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from legato.model import Json

HOME = Path(__file__).parents[4]
"""Of an editable installation, the checkout."""
SOURCES = ("functions", "layers", "requirements")


class Deployer(Protocol):
    """Who changes the stack. All methods raise Failed, Refused."""

    @property
    def checkout(self) -> Checkout | None:
        """Where the stack is deployed from, if it is from a checkout."""
        ...

    def configured(self) -> dict[str, str]:
        """Return the parameters that the next deployment has anyway."""
        ...

    def deploy(self, parameters: Mapping[str, str]) -> None:
        """Create or update the stack with these parameters."""
        ...

    def show_changes(self) -> None:
        """Say which resources a deployment would change, and change none."""
        ...

    def keep(self, event: Json) -> Json:
        """Run the keeper of RingEX's subscription; return what it reports."""
        ...

    def delete(self) -> None:
        """Delete the stack, but for what the template retains."""
        ...


@dataclass(frozen=True, slots=True)
class Checkout:
    """A clone of the repository."""

    path: Path

    @property
    def samconfig(self) -> Path:
        """The file with the deployment's settings."""
        return self.path / samconfig.NAME

    def version(self) -> str:
        """Return Legato's version. Raises Refused if it cannot be found."""
        text = (self.path / "layers" / "shared" / "legato" / "__init__.py").read_text("utf-8")
        found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
        if found is None:
            raise Refused(f"{self.path} says no version")
        return found[1]

    def parameters(self) -> dict[str, str]:
        """Return the template's parameters with their defaults, as they are written."""
        text = (self.path / "template.yaml").read_text("utf-8")
        section = re.search(r"^Parameters:.*?\n(.*?)^\S", text, re.MULTILINE | re.DOTALL)
        blocks = re.split(r"^  (\w+):.*\n", section[1] if section else "", flags=re.MULTILINE)
        return {
            name: default[1].strip().strip('"') if (default := _DEFAULT.search(block)) else ""
            for name, block in zip(blocks[1::2], blocks[2::2], strict=True)
        }

    def changelog(self, since: str) -> list[str]:
        """Return the lines of CHANGELOG.md that are newer than a version."""
        lines = (self.path / "CHANGELOG.md").read_text("utf-8").splitlines()
        heads = [number for number, line in enumerate(lines) if line.startswith("## ")]
        end = next((n for n in heads if lines[n].split()[1] == since), len(lines))
        return lines[heads[0] : end] if heads else []

    def is_built(self) -> bool:
        """Say whether what is built is newer than all that it is built from."""
        try:
            built = (self.path / ".aws-sam" / "build" / "template.yaml").stat().st_mtime
        except FileNotFoundError:
            return False
        return all(path.stat().st_mtime <= built for path in self._sources())

    def _sources(self) -> Iterator[Path]:
        yield self.path / "template.yaml"
        for name in SOURCES:
            for path in (self.path / name).rglob("*"):
                if path.is_file() and not {"__pycache__", "build"} & set(path.parts):
                    yield path


_DEFAULT = re.compile(r'^    Default: ("[^"]*"|[^#\n]*)', re.MULTILINE)


def find_checkout(here: Path) -> Checkout:
    """Return the checkout that this package is of, or that the folder lies in. Raises Refused."""
    for path in (HOME, here, *here.parents):
        if all((path / name).exists() for name in ("template.yaml", "layers/shared/legato")):
            return Checkout(path)
    raise Refused(
        "deploying needs a checkout of Legato's repository: clone it, and run the command there"
    )


def run(command: Sequence[str], folder: Path) -> int:
    """Run a program with its output on standard error; return its exit code."""
    return subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False).returncode


@dataclass(frozen=True, slots=True, kw_only=True)
class SamDeployer:
    """Deploys with sam. `invoke` runs a function of the stack in AWS."""

    checkout: Checkout
    stack: str
    region: str
    profile: str | None
    invoke: Callable[[Json], Json]
    run: Callable[[Sequence[str], Path], int] = run

    def configured(self) -> dict[str, str]:
        """Return what samconfig.toml says, if it is of this stack."""
        said = samconfig.settings(self.checkout.samconfig).get("stack_name", self.stack)
        return samconfig.overrides(self.checkout.samconfig) if said == self.stack else {}

    def deploy(self, parameters: Mapping[str, str]) -> None:
        """Write samconfig.toml, build if need be, and deploy."""
        samconfig.write(
            self.checkout.samconfig, stack=self.stack, region=self.region, parameters=parameters
        )
        self._build()
        self._sam("deploy", "--no-confirm-changeset", "--no-fail-on-empty-changeset")

    def show_changes(self) -> None:
        """Let sam list the change set, and leave it at that."""
        self._build()
        self._sam(
            "deploy",
            "--no-execute-changeset",
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
        )

    def keep(self, event: Json) -> Json:
        return self.invoke(event)

    def delete(self) -> None:
        self._sam("delete", "--no-prompts")

    def _build(self) -> None:
        if not self.checkout.is_built():
            self._run(["make", "build"])

    def _sam(self, *arguments: str) -> None:
        own = self.checkout.path / ".venv" / "bin" / "sam"
        sam = str(own) if own.exists() else "sam"
        where = ["--stack-name", self.stack, "--region", self.region]
        who = ["--profile", self.profile] if self.profile else []
        self._run([sam, *arguments, *where, *who])

    def _run(self, command: Sequence[str]) -> None:
        name = " ".join((Path(command[0]).name, command[1]))
        try:
            code = self.run(command, self.checkout.path)
        except OSError as error:
            raise Failed(
                f"{command[0]} cannot be run ({error.strerror}): run `make setup` in "
                f"{self.checkout.path}"
            ) from error
        if code:
            raise Failed(
                f"`{name}` ended with {code}, as it says above: mend that, and run the same "
                "command again"
            )
