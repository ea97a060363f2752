"""RingCX through the running system: dialogs end in cold storage, whatever goes wrong before."""

import itertools
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from legato.ledger.gaps import gaps_of
from legato.model import Job
from local import aws
from local.worker import Worker, environment
from tests.e2e import dying
from tests.e2e.centre import LIMITS, SUB_ACCOUNT, UNLIMITED, Centre
from tests.e2e.swept import ALWAYS, Placed, logged, reasons_to_stop
from tests.patience import until

UNDISTURBED, MISTAKEN, *KILLED = "21550002", "21550006", "21550003", "21550004", "21550005"
"""Sub-accounts that the stack leaves to sweepers that are run, and killed, from here."""
RINGCX = {
    "subAccounts": [SUB_ACCOUNT, UNDISTURBED, MISTAKEN, *KILLED],
    **UNLIMITED,
}
SCHEDULED = ("SweeperFunction",)
"""The auditor would ask for the same rows, and take the faults that are meant for sweeps."""
# As short as it can be.
PARAMETERS = {
    "RetrySeconds": "1",
    "RingcxLimits": LIMITS,
    "RingcxLadderSeconds": ",".join(["1", "1", *["2"] * 20]),  # longer than a recording is late
    "RingcxLookAgainHours": "24",
    "RingcxSubAccountIds": SUB_ACCOUNT,
    "RingcxSweepHours": "1",
    "RingcxSettleMinutes": "0",
}
MAIN_ACCOUNT = "21550000"
"""What people take for the RingCentral account id: it is RingCX's own."""
LONGEST_BARRED_SECONDS = 900


@pytest.fixture(scope="module")
def centre(system, tmp_path_factory):
    return Centre(system, tmp_path_factory.mktemp("audio"))


@dataclass(frozen=True)
class Row:
    """What two sweeps made of a row that came like that each time."""

    dialog: Placed
    records: dict
    letters: list


@pytest.fixture(scope="module")
def rows(centre):
    """Sweep rows of each bad kind, and then let RingCX be well again."""
    faults = {
        damage: {"kind": "bad-row", "damage": damage}
        for damage in ("noIds", "segmentID", "digital", "times")
    }
    faults |= {kind: {"kind": kind} for kind in ("repeat", "object-body")}
    found = {}
    for number, (kind, fault) in enumerate(faults.items()):
        # It is always the first row that is damaged: the oldest.
        dialog = centre.place(age=300 + 10 * number)
        counted = f"metadata {fault['kind']}"
        enough = centre.stats()["faults"].get(counted, 0) + 2
        centre.faults({"route": "metadata", "times": ALWAYS, **fault})
        until(lambda: centre.sweep() and centre.stats()["faults"].get(counted, 0) >= enough)  # noqa: B023
        found[kind] = Row(dialog, centre.records(dialog), centre.letters())
        centre.mend()
    return found


@pytest.fixture(scope="module")
def killed(centre, rows, tmp_path_factory):
    """Kill a sweeper after each step that others can see, in a sub-account of its own."""
    journals = tmp_path_factory.mktemp("journals")

    def swept(sub_account, die_after=0):
        dialog, journal = centre.place(account=sub_account), journals / sub_account
        told = sweeper_environment(centre, sub_account)
        code = dying.sweep(*told, journal=journal, die_after=die_after)
        return dialog, code, journal.read_text().split()

    _, code, whole = swept(UNDISTURBED)
    assert code == 0
    asked, sent = whole.index("tail.page") + 1, whole.index("jobs.send") + 1
    assert whole[sent] == "notes.write", "the records of the dialog"
    dialogs = []
    for sub_account, steps in zip(KILLED, (asked, sent, sent + 1), strict=True):
        dialog, code, done = swept(sub_account, die_after=steps)
        assert (code, done) == (-9, whole[:steps])
        dialogs.append(dialog)
    return dialogs


def sweeper_environment(centre, *sub_accounts):
    function = centre.system.stack.functions["SweeperFunction"]
    given = environment(function, centre.system.endpoints.aws)
    configured = centre.system.stack.configuration
    return given, replace(configured, ringcx_sub_account_ids=sub_accounts)


@pytest.fixture(scope="module")
def archived(centre, rows, killed):
    """Place a dialog for each thing that can go wrong with a download, and wait for all of them."""
    dialogs = {
        "three": centre.place(3),
        **{
            kind: centre.place()
            for kind in ("late", "truncate", "short-riff", "html", "json", "evict")
        },
    }
    centre.spoil(dialogs["late"], "status", status=404, times=3)
    for kind in ("truncate", "short-riff", "evict"):
        centre.spoil(dialogs[kind], kind)
    for kind in ("html", "json"):
        centre.spoil(dialogs[kind], kind, times=2)
    centre.find(*dialogs.values())
    seen = centre.watch(*dialogs.values(), *(row.dialog for row in rows.values()))
    return {kind: (dialog, seen[dialog]) for kind, dialog in dialogs.items()}


def test_a_dialog_is_in_cold_storage_from_the_first_write(centre, archived):
    """Its segments were never seen in another class, and cannot be read unless restored."""
    dialog, seen = archived["three"]
    first = f"{centre.state(dialog).prefix}legs/{next(iter(dialog.sent))}.wav"
    with pytest.raises(ClientError, match="InvalidObjectState"):
        centre.s3.get_object(Bucket=centre.system.endpoints.bucket, Key=first)
    centre.assert_archived(dialog)
    assert {kept for key, kept in seen if key.startswith("legs/")} == {"GLACIER"}
    assert {kept for key, kept in seen if not key.startswith("legs/")} <= {"STANDARD"}
    assert centre.evidence(dialog).manifest["recording"] is None


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("late", "404"),
        ("truncate", "cannot be resumed"),
        ("short-riff", "s short"),
        ("html", "HTML"),
        ("json", "JSON"),
    ],
)
def test_a_download_that_goes_wrong_is_tried_again(centre, archived, kind, why):
    """It says why it waits, nothing of the bad answer is kept, and all of the good one."""
    dialog, _ = archived[kind]
    reasons = centre.reasons_to_wait(dialog)
    assert any(why in reason for reason in reasons), reasons
    centre.assert_archived(dialog)


def test_tokens_that_die_during_the_downloads_cost_nothing(centre, archived):
    """Neither a try nor a wait: another one is minted at once."""
    dialog, _ = archived["evict"]
    assert centre.stats()["faults"]["recording evict"] == 1
    assert centre.reasons_to_wait(dialog) == []
    centre.assert_archived(dialog)


def test_a_row_without_ids_is_shown_to_somebody_once(centre, rows, archived):
    """With its reason; and when RingCX mends the row, nothing is lost."""
    assert rows["noIds"].records == {}
    [(body, reason)] = rows["noIds"].letters
    assert "dialogId" not in json.loads(body)
    assert "which call" in reason
    centre.assert_archived(rows["noIds"].dialog)


def test_a_row_that_is_no_telephone_call_is_ignored(rows):
    """Even if it says that there is a recording."""
    assert rows["digital"].records == {}
    assert rows["digital"].letters == []


@pytest.mark.parametrize("kind", ["segmentID", "times", "repeat", "object-body"])
def test_a_row_that_is_odd_but_clear_is_archived(centre, rows, archived, kind):
    """An old name, an end before the beginning, twice the same, a list inside an object."""
    row = rows[kind]
    assert row.records.keys() == row.dialog.sent.keys()
    assert row.letters == []
    centre.assert_archived(row.dialog)
    [segment] = row.dialog.sent
    assert centre.stats()["downloads"][segment] == 1


def test_what_cannot_be_read_for_a_while_is_stepped_over_and_read_again(centre, archived):
    """No earlier than RingCX answers again, and nothing of it is lost."""

    def stepped_over():
        return len(logged(centre.log("sweeper"), "a page cannot be read and is stepped over"))

    before, dialog = stepped_over(), centre.place()
    centre.faults({"kind": "status", "status": 500, "route": "metadata", "times": ALWAYS})
    until(lambda: centre.sweep() and stepped_over() > before)
    assert centre.records(dialog) == {}

    def lacks():
        return any(gap.lacks for gap in gaps_of(f"ringcx#{SUB_ACCOUNT}", centre.ledger))

    assert lacks()
    centre.mend()
    centre.find(dialog)
    until(lambda: centre.sweep() and not lacks())
    centre.watch(dialog)
    centre.assert_archived(dialog)


def test_a_later_segment_makes_a_revision_and_touches_nothing(centre, archived):
    """The segments of the first revision are not fetched again, and none of it is rewritten."""
    dialog, _ = archived["three"]
    before, sealed = centre.versions(centre.state(dialog)), centre.evidence(dialog).manifest
    more = centre.place(dialogId=dialog.id, age=20)
    centre.find(more)
    centre.watch(dialog, revision=2)

    evidence, after = centre.evidence(dialog), centre.versions(centre.state(dialog))
    assert evidence.wrong == ()
    assert {leg["id"] for leg in evidence.manifest["legs"]} == {*dialog.sent, *more.sent}
    assert evidence.manifest["legs"][:3] == sealed["legs"]
    assert evidence.manifest["supersedes"]["key"].endswith("manifest-1.json")
    assert before.items() <= after.items()
    new = sorted(key for key, _ in after.keys() - before.keys())
    assert new == [f"legs/{next(iter(more.sent))}.wav", "manifest-2.json", "peaks-2.json"]
    downloads = centre.stats()["downloads"]
    assert [downloads[segment] for segment in dialog.sent] == [1, 1, 1]


def test_a_permission_that_lacks_loses_nothing(centre, archived):
    """Who looks is told the likely causes; when it is granted, the dialog is archived."""
    centre.settings(wemAccess=False, recordingActivated=False)
    dialog = centre.place()

    def told():
        return any("403" in reason and "WEM" in reason for reason in centre.reasons_to_stop())

    # The schedule's own sweep may be at work, and lets no other one in.
    until(lambda: centre.sweep() and told())
    assert centre.records(dialog) == {}

    centre.settings(wemAccess=True)
    centre.find(dialog)
    until(lambda: centre.state(dialog).status == "waiting")
    state = centre.state(dialog)
    assert "403" in state.reason
    assert "has not activated recording" in state.reason
    left = state.next_look_at - datetime.now(UTC)
    assert 0 < left.total_seconds() <= LONGEST_BARRED_SECONDS

    centre.settings(recordingActivated=True)
    send_job(centre, dialog)  # nobody here wants to wait for a quarter of an hour
    centre.watch(dialog)
    centre.assert_archived(dialog)


def test_a_wrong_account_id_is_named_and_loses_nothing(centre, tmp_path):
    """By the sweeper and by the processor; with the right one the dialog is archived."""
    dialog, log = centre.place(account=MISTAKEN, readyAfter=30), tmp_path / "log"
    with wrong_account(centre, "SweeperFunction", log) as sweeper:
        found = sweeper.invoke({"provider": "ringcx"})
    wrong = f"{MAIN_ACCOUNT} is not the RingCentral account id"
    assert any(wrong in reason for reason in reasons_to_stop(log))
    assert found["jobs"] == 0

    record = {
        "messageId": "m",
        "receiptHandle": "of a message that this queue never had",
        "attributes": {"ApproximateReceiveCount": "1"},
        "body": job_of(dialog).to_message(),
        "eventSourceARN": centre.queue()[1],
    }
    dying.sweep(*sweeper_environment(centre, MISTAKEN), journal=tmp_path / "journal")
    with wrong_account(centre, "ProcessorFunction", log) as processor:

        def refused():
            assert processor.invoke({"Records": [record]}) == {"batchItemFailures": []}
            return wrong in (centre.state(dialog).reason or "")

        # The running system is after the same dialog, which it cannot have yet.
        until(refused)

    send_job(centre, dialog)  # nobody here wants to wait for a quarter of an hour
    centre.watch(dialog)
    centre.assert_archived(dialog)


def test_a_sweeper_may_be_killed_at_any_moment(centre, killed):
    """After it has asked, sent the job, or written the records: the next one finds the rest."""
    told = sweeper_environment(centre, *KILLED)
    runs = itertools.count()

    def found():
        dying.sweep(*told, journal=centre.folder / f"again-{next(runs)}")
        return all(map(centre.records, killed))

    until(found)
    centre.watch(*killed)
    for dialog in killed:
        centre.assert_archived(dialog)
        watch = f"unarchived#ringcx#{dialog.account}"
        until(lambda: centre.ledger.first(watch) is None)  # noqa: B023
    # None of these sub-accounts is the stack's: it takes jobs of calls that a sweep has found.
    [(body, reason)] = centre.letters()
    assert Job.from_message(body).call == killed[1].id, "whose sweeper wrote no records"
    assert "none of ours" in reason


def job_of(dialog):
    segments = sorted(dialog.sent)
    return Job(
        provider="ringcx",
        account=dialog.account,
        call=dialog.id,
        seen_at=datetime.now(UTC),
        hints={"recordingIds": segments, "listed": segments},
    )


def send_job(centre, dialog):
    queue, _ = centre.queue()
    centre.sqs.send_message(QueueUrl=queue, MessageBody=job_of(dialog).to_message())


@contextmanager
def wrong_account(centre, logical, log):
    """Start a function as if it were deployed with RingCX's own account id, for one sub-account."""
    function, endpoint = centre.system.stack.functions[logical], centre.system.endpoints.aws
    ssm, name = aws.client("ssm", endpoint), f"mistaken-{logical}"
    told = ssm.get_parameter(Name=function.environment["LEGATO_CONFIG"])["Parameter"]["Value"]
    said = json.loads(told)
    said["RingcxSubAccountIds"] = MISTAKEN
    said["Tuning"]["RingcxAccountId"] = MAIN_ACCOUNT
    ssm.put_parameter(Name=name, Value=json.dumps(said), Type="String")
    variables = environment(function, endpoint) | {"LEGATO_CONFIG": name}
    function = replace(function, own={**function.own, name: "ConfigParameter"})
    worker = Worker(function, variables, log, scratch=str(log.parent))
    try:
        yield worker
    finally:
        worker.end()
