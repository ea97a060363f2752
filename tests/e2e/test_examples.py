"""Every example of every command's help is run, as it stands there, and does what the help says."""

import csv
import json
import re
import wave
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.e2e.office import (
    ACCOUNT,
    CASE,
    DIALOG,
    INTERACTION,
    KAZOO,
    MINUTES,
    NUMBER,
    OTHER_DIALOG,
    PARAMETERS,
    PAST,
    RECORDING,
    RINGCX,
    SESSION,
    Example,
    Office,
    call_id,
    sha256,
)
from tests.patience import until
from tests.unit.test_cli_help import EXAMPLES

__all__ = ["KAZOO", "PARAMETERS", "RINGCX"]

SESSION_AT, DIALOG_AT, INTERACTION_AT = map(str, map(call_id, (SESSION, DIALOG, INTERACTION)))


def example(line, *says, **more):
    return Example(line=line, says=says, **more)


# What an example has done, where its words do not show it.


def the_long_dialog(_office, ended):
    [found] = json.loads(ended.stdout)["calls"]
    assert (found["call"], found["storage"]) == (DIALOG, "cold")


def a_table_of_the_case(_office, ended):
    rows = list(csv.DictReader(ended.stdout.splitlines()))
    assert {row["call"]: row["cases"] for row in rows} == {SESSION: CASE, INTERACTION: CASE}


def all_that_is_known(_office, ended):
    found = json.loads(ended.stdout)
    assert found["call"]["call"] == INTERACTION
    assert [one["case"] for one in found["holds"]] == [CASE]
    # Others look at the call at the same moment.
    seen = [(one["action"], one["reason"]) for one in found["accesses"]]
    assert ("show", "audit") in seen


def what_needs_a_person(_office, ended):
    found = json.loads(ended.stdout)
    assert not found["well"]
    assert "legato failed --provider ringcx" in {one["do"] for one in found["needs"]}


def the_recording(office, ended):
    fetched = (office.folder / ended.stdout.strip()).read_bytes()
    assert sha256(fetched) == office.manifest(SESSION)["recording"]["sha256"]


def legs_and_manifest(office, ended):
    files = [office.folder / line for line in ended.stdout.splitlines()]
    assert {file.parent.name for file in files} == {"evidence"}
    manifest = office.manifest(SESSION)
    legs = [leg["sha256"] for leg in manifest["legs"]]
    assert [sha256(file.read_bytes()) for file in files[:-1]] == legs
    assert json.loads(files[-1].read_bytes()) == manifest


def all_of_the_number(office, ended):
    """The dialog's segments lie apart, and are one file here."""
    files = [office.folder / line for line in ended.stdout.splitlines()]
    assert len(files) == 3
    [joined] = (file for file in files if DIALOG in file.name)
    with wave.open(str(joined)) as audio:
        assert audio.getnframes() == MINUTES * 60 * audio.getframerate()
    assert sha256(joined.read_bytes()) in Path(f"{joined}.sha256").read_text()


def it_was_played(office, ended):
    [line] = (office.folder / "played").read_text().splitlines()
    assert line.endswith(ended.stdout.strip())


def opens_the_recording(office, ended):
    body = httpx.get(ended.stdout.strip()).raise_for_status().content
    assert sha256(body) == office.manifest(SESSION)["recording"]["sha256"]


def opens_the_leg(office, ended):
    body = httpx.get(ended.stdout.strip()).raise_for_status().content
    assert sha256(body) == office.manifest(INTERACTION)["legs"][0]["sha256"]


def packed(folder, *calls, peaks=1):
    def is_packed(office, _ended):
        package = office.package(folder)
        with (package / "data" / "index.csv").open(newline="") as file:
            assert {row["call"] for row in csv.DictReader(file)} == set(calls)
        assert len(list(package.rglob(f"{SESSION}/peaks-*.json"))) == peaks
        joined = (package / "data" / "listen").glob(f"*{DIALOG}.wav")
        assert len(list(joined)) == (DIALOG in calls)

    return is_packed


def readable(call, *, days):
    def is_readable(office, _ended):
        until(lambda: office.kept(call).restored_until)
        left = office.kept(call).restored_until - datetime.now(UTC)
        assert days - 1 <= left.days <= days

    return is_readable


def held(call):
    def is_held(office, _ended):
        assert office.kept(call).held

    return is_held


def released(call):
    def is_released(office, _ended):
        assert not office.kept(call).held

    return is_released


def two_holds(_office, ended):
    found = json.loads(ended.stdout)
    assert {one["call"]: one["reason"] for one in found} == {
        SESSION: "complaint of a customer",
        INTERACTION: "the same",
    }


def the_failed_one(_office, ended):
    [found] = json.loads(ended.stdout)
    assert found["call"] == INTERACTION
    assert "404" in found["reason"]


def nothing_missing(office, ended):
    """By what is printed, or by the report in the bucket that it names."""
    named = re.search(r"Report: (\S+)", ended.stdout)
    found = json.loads(office.body(named[1]) if named else ended.stdout)
    assert found["missing_recordings"] == []


def the_addresses(office, ended):
    said = dict(line.split(": ") for line in ended.stdout.splitlines())
    assert said == office.endpoints.kazoo_push


def other_addresses(office, ended):
    said = dict(line.split(": ") for line in ended.stdout.splitlines())
    assert said.keys() == office.endpoints.kazoo_push.keys()
    assert not set(said.values()) & set(office.endpoints.kazoo_push.values())


def a_catalogue(_office, ended):
    found = json.loads(ended.stdout)
    assert found["calls"] >= 4
    assert found["unread"] == {}


def a_ledger(_office, ended):
    found = json.loads(ended.stdout)
    assert found["calls"] >= 4
    assert (found["unread"], found["forgotten"]) == ({}, 0)


def all_accesses(_office, ended):
    found = {one["action"] for one in json.loads(ended.stdout)}
    assert {"show", "get", "link", "export", "exported", "restore", "hold"} <= found


STACK = "legato --stack archive --region eu-central-1"
READ, VALID = "Read to the end: ", "Valid: nothing is missing"
WOULD = "1 recording of 1 call found, 0 of them known and 0 archived; 1 job would be sent"
STAGES = (
    (
        Office.open,
        (
            example(
                f"{STACK} backfill ringcx --from 2026-11-19T08:00+01:00 --sub-account 12345 --yes",
                "3 recordings of 2 calls found, 2 jobs sent",
            ),
            example(
                f"legato backfill kazoo --from 2026-11-19 --account {ACCOUNT}",
                "Begin",
                "1 recording of 1 call found, 1 job sent",
                answer="y\n",
            ),
            example("legato backfill ringcx --from 2026-10-05 --to 2026-10-11 --dry-run", WOULD),
            example("legato backfill kazoo --from 2026-06-01 --to 2026-10-31 --dry-run", WOULD),
            example(
                "legato backfill ringex --from 2026-10-01 --to 2026-10-31 --dry-run",
                "1 recording of 1 call found",
                "jobs? would be sent",
            ),
            example("legato kazoo push-urls", then=the_addresses),
        ),
    ),
    (
        Office.have_failed,
        (
            example("legato failed", SESSION, DIALOG, INTERACTION, "3 failed", ends=3),
            example("legato failed --provider kazoo --json", ends=3, then=the_failed_one),
            example(f"{STACK} status --json", ends=3, then=what_needs_a_person),
        ),
    ),
    (
        Office.mend,
        (
            example(f"legato retry {SESSION_AT}", f"{SESSION_AT}: queued again"),
            example(
                'legato retry --error "404" --provider kazoo',
                f"{INTERACTION_AT}: queued again\n1 queued again",
            ),
        ),
    ),
    (
        None,
        (example("legato retry --all --yes", f"{DIALOG_AT}: queued again"),),
    ),
    (
        Office.are_archived,
        (
            example(
                f'legato restore {DIALOG_AT} --reason "subpoena 4711"',
                "Which tier",
                "Requested 2 objects of 1 call from S3",
                answer="Bulk\n",
                then=readable(DIALOG, days=7),
            ),
            example(
                f'legato hold {SESSION} --case {CASE} --reason "complaint of a customer"',
                f"{SESSION_AT} is held for {CASE}",
                then=held(SESSION),
            ),
            example(
                f'legato hold {INTERACTION_AT} --case {CASE} --reason "the same"',
                f"{INTERACTION_AT} is held for {CASE}",
                then=held(INTERACTION),
            ),
            example(
                'legato find --number "+1 555 123 0000" --from 2026-11-01',
                SESSION_AT,
                DIALOG_AT,
                INTERACTION_AT,
            ),
            example(
                'legato find --agent "Dev Shah" --from 2026-11-19T08:00 --to 2026-11-19T12:00',
                SESSION_AT,
            ),
            example(
                "legato find --agent shah --from yesterday --to yesterday --zone Europe/Berlin",
                "Times are Europe/Berlin|Nothing found",
            ),
            example(
                "legato find --provider ringcx --direction inbound --min-duration 5m --json",
                then=the_long_dialog,
            ),
            example(
                f'legato show {SESSION_AT} --reason "complaint 4711"',
                "Dev Shah",
                "no recording for 3.0 s",
                "show by alice: complaint 4711",
            ),
            example(
                f'legato get {SESSION_AT} --reason "subpoena 4711"',
                then=the_recording,
            ),
            example(
                f'legato link {SESSION_AT} --reason "review with the agent"',
                "for anyone who has the URL",
                then=opens_the_recording,
            ),
            example(
                f"legato link {INTERACTION} --leg {RECORDING} --minutes 60 "
                '--reason "subpoena 4711"',
                "leg-1",
                then=opens_the_leg,
            ),
            example(
                "legato reconcile --from 2026-11-19 --provider ringex --report-only",
                r"ringex +2 +2 +0 +0 +0",
                then=nothing_missing,
            ),
            example(
                "legato backfill kazoo --from 2026-06-01 --to 2026-10-31",
                "Begin",
                "1 call found, 1 job sent",
                answer="y\n",
            ),
            example(
                "legato backfill ringex --from 2026-10-01 --to 2026-10-31",
                "Begin",
                "1 recording of 1 call found",
                answer="y\n",
            ),
        ),
    ),
    (
        None,
        (
            example(
                f'legato export {SESSION_AT} --name {CASE} --reason "subpoena 4711"',
                "1 call,",
                then=packed(".", SESSION),
            ),
            example(
                "legato restore --agent 4711 --from 2026-11-01 --tier Bulk --days 14 "
                '--reason "audit"',
                "Restore at the price of Bulk",
                "Requested 2 objects of 1 call from S3",
                answer="y\n",
                then=readable(DIALOG, days=14),
            ),
            example(
                f"legato restore {OTHER_DIALOG} --tier Expedited --yes-expedited --yes "
                '--reason "subpoena 4711"',
                "Requested 1 object of 1 call from S3",
                then=readable(OTHER_DIALOG, days=7),
            ),
            example("legato holds", SESSION, INTERACTION, "alice"),
            example(f"legato holds --case {CASE} --json", then=two_holds),
            example(f"legato find --case {CASE} --all --csv", then=a_table_of_the_case),
            example(
                f'legato show {INTERACTION} --reason "audit" --json',
                then=all_that_is_known,
            ),
            example(
                f'legato get {SESSION} --legs --manifest --out evidence --reason "subpoena 4711"',
                then=legs_and_manifest,
            ),
            example(
                f'legato get --number {NUMBER} --from 2026-11-01 --out calls --reason "complaint"',
                then=all_of_the_number,
            ),
            example(
                f"legato show --number {NUMBER} --provider ringex --from 2026-11-19 "
                '--reason "audit"',
                SESSION_AT,
            ),
            example(f"{STACK} reconcile --from 2026-11-19 --json", then=nothing_missing),
            example(
                f"{STACK} backfill ringex --from 2026-09-01 --yes", "3 recordings of 2 calls found"
            ),
            example(
                "legato backfill kazoo --from 2026-06-01",
                "Begin",
                "2 recordings of 2 calls found",
                answer="y\n",
            ),
        ),
    ),
    (
        None,
        (
            example(
                f"legato export --number {NUMBER} --from 2026-11-01 --name {CASE} --out court",
                "3 calls,",
                then=packed("court", SESSION, DIALOG, INTERACTION),
            ),
            example(
                f"legato export --case {CASE} --name {CASE} --out discs --max-size 650MB "
                "--all-revisions",
                "2 calls,",
                then=packed("discs", SESSION, INTERACTION, peaks=2),
            ),
            example(
                f"legato restore {DIALOG} --tier Standard --days 30 --yes --wait "
                '--reason "subpoena 4711"',
                "readable until",
                then=readable(DIALOG, days=30),
            ),
            example(f'legato get {SESSION} --play --reason "quality"', then=it_was_played),
            example('legato get - --skip-cold --reason "audit"', SESSION, piped=SESSION_AT),
            example("legato retry -", "have not failed", piped=SESSION_AT, ends=5),
            # The stack's own key is one that the local KMS does not know.
            example("legato doctor", "There is no key", r"checks: 1 wrong\.", ends=3),
            example("legato --local doctor --json", '"Kazoo log-in"', ends=3),
            example("legato status", "All is well"),
            example("legato --local status", "held calls +2"),
            example(
                f'legato release {SESSION_AT} --case {CASE} --reason "settled"',
                "alice requested the release: another person must confirm it",
            ),
        ),
    ),
    (
        Office.copy,
        (
            example(
                f"legato release {SESSION} --case {CASE} --confirm",
                f"{SESSION_AT} is free: no case holds it",
                by="bob",
                then=released(SESSION),
            ),
            example("legato verify", VALID),
            example(f"{STACK} verify --deep", READ, VALID),
            example("legato verify --tsa-ca authority.pem", VALID),
            example(
                f"legato verify --case {CASE} --deep",
                r"Only \d calls? and the chain of digests were verified",
                "Valid: nothing of these calls is missing",
            ),
            example("legato verify --digest kept.json", VALID),
            example(
                "legato verify exported/ --deep --key legato.pem --at 2026-11-20T18:00",
                "checked with the key given with --key",
                READ,
                VALID,
            ),
            example(
                f"legato verify {CASE}-20261124 --deep --key legato.pem",
                f"Package {CASE}: 1 call",
                READ,
                "Nothing is wrong",
            ),
            example("legato restore --list", rf"{DIALOG_AT} .*readable until"),
            example(f"{STACK} kazoo push-urls --rotate", "new push key", then=other_addresses),
        ),
    ),
    (
        None,
        (
            example(
                "legato backfill ringcx --from 2026-10-05 --to 2026-10-11",
                "Begin",
                "1 recording of 1 call found, 1 job sent",
                answer="y\n",
            ),
            example(
                "legato reconcile --from 2026-11-13 --to 2026-11-19",
                r"ringcx +3 +3 +0 +0 +0",
                then=nothing_missing,
            ),
            example("legato index rebuild", r"\d calls are in the catalogue"),
            example("legato index rebuild --json", then=a_catalogue),
            example("legato ledger rebuild", r"\d calls are sealed in the bucket, \d are held"),
            example("legato ledger rebuild --json", then=a_ledger),
            example(
                "legato index rebuild --from 2026-11-01 --to 2026-11-30",
                r"\d calls are in the catalogue",
            ),
            example(
                f"legato hold --number {NUMBER} --from 2026-11-01 --case {CASE} "
                '--reason "subpoena 4711"',
                f"{SESSION_AT} is held for {CASE}",
                f"{INTERACTION_AT} is held for {CASE}.* It was requested before",
                then=held(DIALOG),
            ),
            example(f"legato accesses --case {CASE}", INTERACTION, "hold", "alice"),
            example(f"legato accesses {SESSION_AT}", "link", "show", "hold", "alice"),
            example("legato accesses --from 2026-11-01 --to 2026-11-30", DIALOG, INTERACTION),
            example("legato accesses --json", then=all_accesses),
        ),
    ),
)
"""One after the other: what has to be so before, and examples that may run side by side."""
TABLE = [one.line for _, stage in STAGES for one in stage]
DEPLOYS = re.compile(r"^legato (--local )?(setup|upgrade|uninstall)\b")


@pytest.fixture(scope="module")
def office(system, tmp_path_factory):
    return Office(system, tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def ran(office):
    """Run all examples, three at a time, since some wait; return what came of each."""
    found = {}
    with ThreadPoolExecutor(3) as people:
        for ready, examples in STAGES:
            if ready is not None:
                ready(office)
            running = {one.line: people.submit(office.run, one) for one in examples}
            wait(running.values())
            found |= running
    return found


def test_every_example_of_every_help_is_here():
    """And none that no help has any more. tests/soak/test_setup.py deploys and deletes stacks."""
    assert sorted(TABLE) == [each for each in EXAMPLES if not DEPLOYS.search(each)]


@pytest.mark.parametrize("line", TABLE, ids=lambda line: line[:90])
def test_every_example_does_what_its_help_says(ran, line):
    ran[line].result()


@pytest.mark.parametrize("call", PAST.values())
def test_what_the_backfills_found_is_archived(ran, office, call):
    office.is_archived(call)
