"""What all commands are made with: their options, their exit codes, and how they end.

A command declares a group of options as one parameter whose type is a dataclass of them; so a
group stands once and is the same everywhere. Every failure of a command goes through `speaking`.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from legato.cli.exit_codes import COMMON, Exit, listed
from legato.cli.output import speaking

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

type Command = Callable[..., None]

HELP = {"help_option_names": ["-h", "--help"]}
"""Commands inherit it from the one above them."""


def command(
    app: typer.Typer,
    name: str,
    *,
    help: str,  # noqa: A002 - typer's word for it
    ends: Collection[Exit] = (),
    interrupted: str = "interrupted",
) -> Callable[[Command], Command]:
    """Register a command that may end with COMMON's exit codes and these, as its help lists."""

    def register(run: Command) -> Command:
        groups, options = _declared(run)

        @wraps(run)
        def spoken(**given: Any) -> None:
            for name, (kind, names) in groups.items():
                given[name] = kind(**{each: given.pop(each) for each in names})
            with speaking(interrupted):
                run(**given)

        spoken.__dict__["__signature__"] = inspect.Signature(options)
        spoken.__annotations__ = {}
        codes = listed(COMMON | {*ends})
        app.command(name=name, help=f"{inspect.cleandoc(help)}\n\n{codes}")(spoken)
        return run

    return register


def group(name: str, *, help: str) -> typer.Typer:  # noqa: A002 - typer's word for it
    """Return a command that has others below it."""
    return typer.Typer(name=name, help=help, no_args_is_help=True, rich_markup_mode=None)


def _declared(
    run: Command,
) -> tuple[dict[str, tuple[Any, list[str]]], list[inspect.Parameter]]:
    """Return a command's groups of options, with the names of each, and all its options.

    An option that the command declares before a group is left out of the group.
    """
    groups: dict[str, tuple[Any, list[str]]] = {}
    options: dict[str, inspect.Parameter] = {}
    hints = get_type_hints(run, include_extras=True)
    for one in inspect.signature(run).parameters.values():
        kind = hints[one.name]
        if is_dataclass(kind):
            found = {each.name: each for each in _fields(kind) if each.name not in options}
            groups[one.name] = kind, [*found]
            options |= found
        else:
            options[one.name] = one.replace(annotation=kind, kind=one.KEYWORD_ONLY)
    return groups, [*options.values()]


def _fields(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for one in fields(group):
        default = inspect.Parameter.empty if one.default is MISSING else one.default
        kind = inspect.Parameter.KEYWORD_ONLY
        yield inspect.Parameter(one.name, kind, default=default, annotation=hints[one.name])
