"""What no other test of the running system makes the functions do, so that every grant is used.

AWS takes each object that is written, and the first answer is lost. So whoever writes one asks once
more, and has to look at what the key holds.
"""

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from legato.evidence.digest import GRACE
from legato.model import Job, format_time
from local import aws
from local.system import running
from tests.e2e import office
from tests.e2e.office import ACCOUNT, WRITTEN, Example, Office, call_id
from tests.e2e.swept import ALWAYS
from tests.grants import KEY
from tests.patience import until
from tests.soak.breaking import Breaker

SCHEDULED = ()
AUDITED = WRITTEN - timedelta(days=2)
"""Until four in the morning yesterday is too young to be reconciled."""
RINGEX, RINGCX, KAZOO = "s-lost", "s-v-lost", "63957000000-lost"
CALLS = {"ringex": RINGEX, "ringcx": RINGCX, "kazoo": KAZOO}
PARAMETERS = office.PARAMETERS | {
    "AlarmEmail": "alarms@example.com",
    "DeleteAtSource": "true",
    "KmsKeyArn": KEY,
    "ReconcileDays": "2",
    "RestoreEmail": "legal@example.com",
    "RetentionMode": "GOVERNANCE",
    "TimestampAuthorityUrl": "http://127.0.0.1:1/",  # which never answers
}


class Losing(Breaker):
    """Loses the first answer to each object that is put whole."""

    def __init__(self):
        super().__init__(seed=0)
        self._lost = set()

    async def _answer(self, request, headers):
        answer = await super()._answer(request, headers)
        line = request.partition(b"\r\n")[0]
        operation = headers.get("amz-sdk-invocation-id")
        if line.startswith(b"PUT /") and b"?" not in line and operation not in self._lost:
            self._lost.add(operation)
            return b""
        return answer


@pytest.fixture(scope="module")
def company(tmp_path_factory, free_port):
    """Run a company whose calls of two days ago nobody has swept."""
    with running(
        port=free_port(),
        directory=tmp_path_factory.mktemp("system"),
        scheduled=SCHEDULED,
        parameters=PARAMETERS,
        ringcx_settings=office.RINGCX,
        kazoo_settings=office.KAZOO,
        through=Losing().between,
    ) as system:
        company = Office(system, tmp_path_factory.mktemp("office"))
        two = [(AUDITED, "09:00:00", None), (AUDITED, "09:00:05", None)]
        company.place_ringex(RINGEX, two, emit=False)
        company.place_ringcx(RINGCX, AUDITED, [("09:00:00", 1, None)])
        company.place_kazoo(KAZOO, AUDITED)
        place_stray(company, "r-audited", company.at(AUDITED, "10:00:00"))
        yield company


def place_stray(company, name, began):
    """Let RingCentral list a recording that says of no call that it is its."""
    said = {"id": f"of-{name}", "contentUri": "https://media.ringcentral.com/restapi/v1.0/x"}
    record = {"id": name, "startTime": began, "duration": 1, "recording": said}
    company.post("ringex", "raw", {"records": [record]})


def place_html(company, call, time):
    """Place a call whose recording is no audio, and have it swept."""
    html = base64.b64encode(b"<!DOCTYPE html><html><body>Please log in</body></html>").decode()
    leg = {"startTime": company.at(WRITTEN, time), "duration": 1, "audio": html}
    order = {"telephonySessionId": call, "listedAfter": 0, "emit": False, "legs": [leg]}
    company.post("ringex", "calls", order)
    company.system.invoke("SweeperFunction", {"provider": "ringex"})


def uses(company, function, *words):
    """Say whether a function was seen to use a grant of which these are words."""
    used = company.system.directory / "logs" / f"{function}.used"
    lines = used.read_text().splitlines() if used.exists() else []
    return any(all(word in line for word in words) for line in lines)


def reconcile(company):
    until(lambda: company.system.invoke("AuditorFunction", {"task": "reconcile"})["report"])


def test_a_fresh_stack_is_looked_at(company):
    """Nothing is archived yet, and the ledger has no mark."""
    assert company.system.invoke("HealthFunction", {})["unknown"] == []


@pytest.fixture(scope="module")
def reconciled(company):
    """Let the auditor find what is missing, and the processor archive it."""
    reconcile(company)
    for call in CALLS.values():
        company.is_archived(call)
    return company


def test_what_the_auditor_misses_is_archived(reconciled):
    for call in CALLS.values():
        assert reconciled.manifest(call)["legs"]


def test_what_waits_for_a_digest_and_what_was_missing_is_looked_at(reconciled):
    """The report too."""
    assert reconciled.system.invoke("HealthFunction", {})["unknown"] == []


def test_what_was_sealed_is_named_by_the_next_digest(reconciled):
    """As if it had been sealed hours ago. Nobody answers who would stamp it."""
    earlier = format_time(datetime.now(UTC) - timedelta(hours=2))
    for note in list(reconciled.ledger.listed("undigested", until="9")):
        reconciled.ledger.write(replace(note, listed=("undigested", earlier)))
    began = datetime.now(UTC)
    over = began.replace(minute=0, second=1, microsecond=0) + GRACE
    time.sleep(max(0.0, (over - began).total_seconds()))  # no earlier is the last hour digested
    answer = reconciled.system.invoke("AuditorFunction", {"task": "digest"})
    assert answer["objects"] >= len(CALLS)
    assert (answer["stopped"], answer["stamped"]) == (None, None)
    assert answer["differences"] == []


def test_a_hold_and_its_release_are_recorded_though_answers_are_lost(reconciled):
    at = call_id(RINGEX)
    reconciled.run(Example(line="legato hold ringex/1/s-0 --case c --reason r", ends=5))
    for line, by in (
        (f"legato hold {at} --case c --reason r", "alice"),
        (f"legato release {at} --case c --reason r", "alice"),
        (f"legato release {at} --case c --confirm", "bob"),
    ):
        reconciled.run(Example(line=line, by=by))


def test_who_looks_is_written_down_though_answers_are_lost(reconciled):
    reconciled.run(Example(line=f"legato show {call_id(KAZOO)} --reason audit"))


def test_whoever_asked_for_a_restore_is_told_by_mail(reconciled):
    line = f"legato restore {call_id(RINGCX)} --tier Expedited --yes-expedited --yes --reason r"
    reconciled.run(Example(line=line))
    until(lambda: uses(reconciled, "restorer", "sns:Publish"))


@pytest.fixture(scope="module")
def removed(reconciled):
    """Let the providers delete what is archived."""
    providers = ("ringex", "kazoo")
    forget(reconciled, *(f"health#{each}" for each in providers))  # written once a minute
    fault = {"kind": "status", "route": "delete-recordings", "status": 503, "times": 1}
    reconciled.post("ringex", "faults", fault)
    reconciled.system.invoke("RemoverFunction", {"provider": "ringex"})

    def are_gone():
        for provider in providers:
            reconciled.system.invoke("RemoverFunction", {"provider": provider})
        return not any(reconciled.ledger.first(f"removal#{each}") for each in providers)

    until(are_gone)
    return reconciled


def test_the_auditor_takes_nothing_for_lost_that_was_removed_at_its_source(removed):
    """Another run of the same day, with something that is gone from the archive."""
    leg = removed.manifest(RINGCX)["legs"][0]
    removed.s3.delete_object(
        Bucket=removed.endpoints.bucket,
        Key=leg["key"],
        VersionId=leg["version_id"],
        BypassGovernanceRetention=True,
    )
    forget(removed, "reconciling#daily")
    reconcile(removed)
    until(lambda: removed.state(RINGCX).revision == 2)


def test_bytes_that_are_no_recording_are_kept_though_answers_are_lost(reconciled):
    place_html(reconciled, "s-html", "00:00:01")
    until(lambda: reconciled.state("s-html").status == "failed")


def now():
    return datetime.now(UTC) - timedelta(seconds=30)


def test_what_is_listed_without_its_call_is_shown_to_somebody(reconciled):
    """Whoever reads the list first: the sweeper, or a processor that looks for its calls."""
    place_stray(reconciled, "r-swept", format_time(now()))
    until(
        lambda: (
            reconciled.system.invoke("SweeperFunction", {"provider": "ringex"})
            and uses(reconciled, "sweeper", "RingexJobsDeadLetterQueue")
        )
    )
    place_stray(reconciled, "r-processed", format_time(now()))
    reconciled.post("ringex", "calls", {"legs": [{"duration": 1}], "emit": True})
    until(lambda: uses(reconciled, "processor", "PutItem", "stray#*"))


def test_what_needs_a_person_is_told_by_mail(reconciled):
    """A call that failed, and recordings of no call; in the second run that sees them."""
    answers = [reconciled.system.invoke("HealthFunction", {}) for _ in range(2)]
    assert [answer["unknown"] for answer in answers] == [[], []]
    assert answers[0]["needs"] >= 3
    assert uses(reconciled, "health", "sns:Publish")


def test_what_a_call_that_goes_on_has_named_is_asked_for_when_it_must_be_over(reconciled):
    """As if that were now."""
    call = call_id("s-goes-on")
    job = Job(**call._asdict(), seen_at=now(), hints={"ongoing": True, "recordingIds": ["1"]})
    sqs = aws.client("sqs", reconciled.endpoints.aws)
    sqs.send_message(QueueUrl=reconciled.endpoints.queues["ringex"], MessageBody=job.to_message())
    until(lambda: reconciled.ledger.read(f"named#{call}").listed)
    note = reconciled.ledger.read(f"named#{call}")
    reconciled.ledger.write(replace(note, listed=(note.listed[0], format_time(now()))))
    until(
        lambda: (
            reconciled.system.invoke("SweeperFunction", {"provider": "ringex"})
            and reconciled.ledger.read(f"named#{call}").listed is None
        )
    )


def test_what_is_gone_from_the_inbox_is_let_go(reconciled):
    """S3 says so, to whoever may list the bucket."""
    about = {
        "bucket": {"name": reconciled.endpoints.inbox},
        "object": {"key": f"push/{ACCOUNT}/{'0' * 64}.wav", "versionId": "gone"},
    }
    message = {"Records": [{"eventTime": format_time(now()), "s3": about}]}
    sqs = aws.client("sqs", reconciled.endpoints.aws)
    queue = reconciled.endpoints.queues["kazoo"]
    sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    until(lambda: uses(reconciled, "processor", "s3:ListBucket", "arn:InboxBucket"))


def test_bytes_that_come_of_a_held_call_are_held(reconciled):
    at = call_id("s-held")
    line = f"legato hold {at} --case c --reason r --force"
    reconciled.run(Example(line=line))
    place_html(reconciled, "s-held", "00:00:03")
    until(lambda: reconciled.state("s-held").status == "failed")
    until(lambda: uses(reconciled, "processor", "PutObjectLegalHold", "refused/*", "ON"))


@pytest.mark.parametrize(
    ("function", "event", "log"),
    [
        ("KeeperFunction", {}, "keeper"),
        ("AuditorFunction", {"task": "reconcile"}, "auditor"),
        ("RemoverFunction", {"provider": "ringex"}, "remover"),
    ],
)
def test_whoever_is_refused_sets_the_credential_aside(removed, function, event, log):
    """Refused twice, with a token that was just minted."""
    forget(removed, "credentials#ringex", "reconciling#daily")
    if log == "remover":
        removed.place_ringex("s-more", [(WRITTEN, "00:00:05", None)], emit=False)
        until(
            lambda: (
                removed.system.invoke("SweeperFunction", {"provider": "ringex"})
                and removed.ledger.first("removal#ringex")
            )
        )
    fault = {"kind": "status", "route": "any", "status": 401, "times": ALWAYS}
    removed.post("ringex", "faults", fault)
    try:
        until(
            lambda: (
                removed.system.invoke(function, event)
                and uses(removed, log, "PutItem", "credentials#")
            )
        )
    finally:
        removed.mend()
        forget(removed, "credentials#ringex")


def forget(company, *notes):
    for key in notes:
        company.ledger.write(replace(company.ledger.read(key), content={}))
