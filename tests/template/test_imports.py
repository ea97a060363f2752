"""Arrows point inward: nobody imports what lies further out than itself."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LAYER = ROOT / "layers" / "shared"
LEGATO = LAYER / "legato"
FUNCTIONS = ROOT / "functions"

INNERMOST = ("model", "errors", "ports")
COMPOSITION = ("bootstrap", "settings")
# Where a foreign package may be imported, and nowhere else in the layer.
HOMES = {
    "boto3": ("legato/aws/",),
    "botocore": ("legato/aws/",),
    "pydub": ("legato/audio/",),
    "audioop": ("legato/audio/",),
    "subprocess": ("legato/audio/",),
    "httpx": ("legato/providers/", "legato/bootstrap/"),
    "typer": ("legato/cli/",),
    "rich": ("legato/cli/",),
}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full names of all that a module imports, also inside functions."""
    package = path.relative_to(LAYER if path.is_relative_to(LAYER) else ROOT).with_suffix("").parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: -node.level]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def reads_environment(path: Path) -> bool:
    """Say whether a module touches the process's environment."""
    names = {"environ", "environb", "getenv"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.alias) and node.name in names)
        for node in ast.walk(ast.parse(path.read_text()))
    )


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def label(path: Path) -> str:
    return str(path.relative_to(LAYER if path.is_relative_to(LAYER) else ROOT))


USE_CASES = [
    path
    for path in sorted(
        (*LEGATO.glob("*.py"), *LEGATO.glob("export/*.py"), *LEGATO.glob("restore/*.py"))
    )
    if path.stem not in (*INNERMOST, *COMPOSITION, "__init__")
]


@pytest.mark.parametrize("name", INNERMOST)
def test_the_innermost_know_only_the_standard_library_and_each_other(name: str) -> None:
    own = tuple(f"legato.{each}" for each in INNERMOST)
    for imported in imports(LEGATO / f"{name}.py"):
        top = imported.partition(".")[0]
        assert within(imported, own) or top in sys.stdlib_module_names, imported


@pytest.mark.parametrize("path", USE_CASES, ids=label)
def test_use_cases_know_no_adapter(path: Path) -> None:
    outer = (
        *HOMES,
        "legato.aws",
        "legato.audio",
        "legato.providers",
        "legato.bootstrap",
        "legato.settings",
        "legato.cli",
    )
    wrong = {name for name in imports(path) if within(name, outer)}
    assert not wrong


@pytest.mark.parametrize("adapter", ["aws", "audio", "providers"])
def test_adapters_do_not_know_each_other(adapter: str) -> None:
    others = {"aws", "audio", "providers", "cli", "bootstrap", "settings"} - {adapter}
    outer = tuple(f"legato.{other}" for other in others)
    for path in modules(LEGATO / adapter):
        wrong = {name for name in imports(path) if within(name, outer)}
        assert not wrong, label(path)


@pytest.mark.parametrize(("package", "homes"), HOMES.items(), ids=list(HOMES))
def test_each_foreign_package_has_one_home(package: str, homes: tuple[str, ...]) -> None:
    for path in modules(LEGATO):
        if not label(path).startswith(homes):
            wrong = {name for name in imports(path) if within(name, (package,))}
            assert not wrong, label(path)


def test_only_the_settings_read_the_environment() -> None:
    """The bootstrap may name it, to pass it on; the command leads AWS's clients by it.

    And it takes a person's time zone from there.
    """
    readers = {label(path) for path in modules(LEGATO) if reads_environment(path)}
    bootstrap = {"legato/bootstrap/__init__.py", "legato/bootstrap/shared.py"}
    command = {"legato/cli/place.py", "legato/cli/times.py"}
    assert readers <= {"legato/settings.py", *command, *bootstrap}


@pytest.mark.parametrize("path", modules(FUNCTIONS), ids=label)
def test_handlers_only_hand_over(path: Path) -> None:
    forbidden = ("boto3", "botocore", "httpx", "pydub", "os", "subprocess", "legato.cli")
    wrong = {name for name in imports(path) if within(name, forbidden)}
    assert not wrong


def test_nothing_that_a_function_loads_knows_the_command_line() -> None:
    for path in [*modules(LEGATO), *modules(FUNCTIONS)]:
        if not label(path).startswith("legato/cli/"):
            wrong = {name for name in imports(path) if within(name, ("legato.cli",))}
            assert not wrong, label(path)
