"""What every command of `legato` has: help with examples that are right, and a quick start."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from legato.cli import main
from legato.cli.app import GROUPS, app

ROOT = typer.main.get_command(app)


def walk(command, path=("legato",)):
    """Yield all commands and groups, with the words that lead to them."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


COMMANDS = dict(walk(ROOT))


def examples(command):
    """Return the lines of the examples; one that ends in a backslash goes on in the next."""
    _, found, rest = (command.help or "").partition("Examples:\n")
    block = rest.partition("\n\n")[0] if found else ""
    joined = re.sub(r"\\\n\s*", "", block)
    return [line.strip() for line in joined.splitlines() if line.strip()]


EXAMPLES = sorted(
    {part for each in COMMANDS.values() for line in examples(each) for part in line.split(" | ")}
)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_examples_and_says_its_exit_codes(path):
    """And each example is one of this command, or of one below it, which has codes of its own."""
    command = COMMANDS[path]
    assert examples(command)
    below = getattr(command, "commands", None) and len(path) > 1
    assert ("Exit codes:\n    0  done\n" in command.help) == (not below)
    words = [shlex.split(line) for line in examples(command)]
    assert all(line[0] == "legato" and set(path) <= set(line) for line in words)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_argument_and_option_is_explained(path):
    """Those that typer adds explain themselves."""
    mute = [one.name for one in COMMANDS[path].params if not getattr(one, "help", None)]
    assert mute == []


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_is_understood(line, tmp_path, monkeypatch):
    """Its options are there, and have values of the right kind; files that it names are made."""
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"(?<= )\S+\.pem\b", line):
        (tmp_path / name).touch()
    for name in re.findall(r"(?<= verify )(\w[\w.-]+)", line):
        (tmp_path / name).mkdir()
    command, arguments = ROOT, shlex.split(line)[1:]
    context = None
    while True:
        context = command.make_context(command.name or "legato", list(arguments), parent=context)
        if not getattr(command, "commands", None):
            break
        rest = [*context._protected_args, *context.args]
        assert rest, "the example names no command"
        _, command, arguments = command.resolve_command(context, rest)
    assert context.args == []


def test_the_list_of_commands_is_in_groups():
    """None is left out of them, and none is there that does not exist."""
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(ROOT.commands)
    shown = CliRunner().invoke(app, ["--help"]).output
    assert [shown.index(f"\n{title}:\n") for title in GROUPS] == sorted(
        shown.index(f"\n{title}:\n") for title in GROUPS
    )
    for name in grouped:
        assert re.search(rf"^  {name} +\w", shown, re.MULTILINE), name
    assert "More:" not in shown


def test_a_search_does_not_wait_for_what_it_does_not_need():
    """Half a second goes into loading AWS, the schemas and the providers."""
    heavy = ("boto3", "botocore", "jsonschema", "httpx", "rich.table", "pydub", "bagit")
    code = (
        "import sys, legato.cli.app\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith(('legato.app.',"
        " 'legato.aws', 'legato.providers'))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n[]\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_output_that_finds_no_room_ends_with_a_line(monkeypatch):
    """Of whatever command."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, which is buffered
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "argv", ["legato", "--help"])
        with pytest.raises(SystemExit) as ended:
            main()
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
    assert ended.value.code == (
        "legato: No space left on device: free some space, and run the same command again"
    )


def test_who_is_interrupted_before_it_begins_hears_nothing(monkeypatch):
    """As every other command of a shell."""

    class Interrupted(list):
        def __getitem__(self, _index):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", Interrupted())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


@pytest.mark.attacks("an error that nobody foresaw, with words that command the terminal")
def test_an_error_of_ours_shows_what_it_says_and_does_nothing(monkeypatch):
    """Its words may be a provider's."""

    class Broken(list):
        def __getitem__(self, _index):
            raise ValueError("\x1b[2J\x9b31m")

    monkeypatch.setattr(sys, "argv", Broken())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code.startswith("Traceback")
    assert "ValueError: \ufffd[2J\ufffd31m" in ended.value.code
    assert all(line.isprintable() for line in ended.value.code.splitlines())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["legato", "sta"], ["status"]),
        (["legato", "find", "--provider", "r"], ["ringex", "ringcx"]),
        (["legato", "find", "--direction", ""], ["inbound", "outbound"]),
        (["legato", "restore", "--tier", "B"], ["Bulk"]),
        (["legato", "failed", "--provider", "k"], ["kazoo"]),
    ],
)
def test_a_shell_completes_commands_and_names(words, found, monkeypatch):
    """As bash asks for it, once `legato --install-completion` has told it how."""
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    ended = CliRunner().invoke(
        app, prog_name="legato", env=os.environ | asked | {"_LEGATO_COMPLETE": "complete_bash"}
    )
    assert ended.output.split() == found
