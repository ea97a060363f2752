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
ADAPTERS = ("aws", "audio", "providers")
FLOORS = (
    ("errors", "format", "clock", "printable", "settings"),
    ("model",),
    ("parties",),
    ("ports", "tuning", "api_request", "disk"),
    ("archive",),
    ("ledger",),
    ("catalogue",),
    ("discovery",),
    ("evidence",),
    ("ingest",),
    ("retrieval",),
    ("operations",),
    ("setup",),
    ("config", *ADAPTERS),
    ("app", "lambda_handler"),
    ("cli",),
)
"""The packages of legato, from the bottom: each imports what lies below it."""
USE_CASES = ("discovery", "evidence", "ingest", "retrieval", "operations", "setup")
# Where a foreign package may be imported, and nowhere else in the layer.
HOMES = {
    "boto3": ("legato/aws/",),
    "botocore": ("legato/aws/",),
    "pydub": ("legato/audio/",),
    "audioop": ("legato/audio/",),
    "subprocess": ("legato/audio/", "legato/setup/deploy.py"),
    "tomlkit": ("legato/setup/samconfig.py",),
    "httpx": ("legato/providers/", "legato/app/"),
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


def floor(name: str) -> int:
    """Return how high a module of legato lies, by its full name."""
    package = name.split(".")[1]
    [height] = (height for height, floor in enumerate(FLOORS) if package in floor)
    return height


def named(path: Path) -> str:
    """Return the full name of a module."""
    parts = path.relative_to(LAYER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def neighbours() -> dict[str, set[str]]:
    """Return what each module of legato imports of legato, without the version."""
    paths = {named(path): path for path in modules(LEGATO)}
    return {
        name: {
            next(each for each in (imported, imported.rpartition(".")[0]) if each in paths)
            for imported in imports(path)
            if imported.startswith("legato.") and imported != "legato.__version__"
        }
        for name, path in paths.items()
    }


INSIDE = sorted(name for name in neighbours() if name != "legato")


@pytest.mark.parametrize("name", INSIDE)
def test_arrows_run_downward(name: str) -> None:
    package = name.split(".")[1]
    for imported in neighbours()[name]:
        if imported.split(".")[1] != package:
            assert floor(imported) < floor(name), imported


def test_there_is_no_circle() -> None:
    graph = {name: set(imported) for name, imported in neighbours().items()}
    while free := {name for name, imported in graph.items() if not imported & graph.keys()}:
        graph = {name: imported for name, imported in graph.items() if name not in free}
    assert not graph


@pytest.mark.parametrize("name", INNERMOST)
def test_the_innermost_know_only_the_standard_library_and_each_other(name: str) -> None:
    own = tuple(f"legato.{each}" for each in INNERMOST)
    for imported in imports(LEGATO / f"{name}.py"):
        top = imported.partition(".")[0]
        assert within(imported, own) or top in sys.stdlib_module_names, imported


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_knows_no_use_case_and_no_other_adapter(adapter: str) -> None:
    outer = {*USE_CASES, *ADAPTERS, "config", "app", "cli"} - {adapter}
    for path in modules(LEGATO / adapter):
        wrong = {
            name for name in imports(path) if within(name, tuple(f"legato.{x}" for x in outer))
        }
        assert not wrong, label(path)


@pytest.mark.parametrize(("package", "homes"), HOMES.items(), ids=list(HOMES))
def test_each_foreign_package_has_one_home(package: str, homes: tuple[str, ...]) -> None:
    for path in modules(LEGATO):
        if not label(path).startswith(homes):
            wrong = {name for name in imports(path) if within(name, (package,))}
            assert not wrong, label(path)


def test_only_the_settings_read_the_environment() -> None:
    """The composition root names it, to pass it on; the command leads AWS's clients by it.

    And it takes a person's time zone from there, and where files of that person's belong.
    """
    readers = {label(path) for path in modules(LEGATO) if reads_environment(path)}
    root = {f"legato/app/{name}.py" for name in ("adapters", "function", "push", "webhook")}
    command = {f"legato/cli/{name}.py" for name in ("context", "last_find", "times")}
    assert readers <= {*command, *root}


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
