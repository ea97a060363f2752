"""The last digest of each day gets a time stamp, whatever becomes of the authority meanwhile."""

import hashlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from typer.testing import CliRunner

from legato.archive.evidence import Folder
from legato.archive.layout import digest_key, stamp_key
from legato.cli.app import app
from legato.errors import Refused, Retry
from legato.evidence.digest import DigestChain
from legato.evidence.timestamp import DailyTimeStamps, check, request
from legato.evidence.verify.archive import verify
from legato.evidence.verify.timestamps import read_authorities
from legato.providers.timestamps import TimestampAuthority
from tests.authority import EcSigner, OpensslAuthority
from tests.chain import HOUR, KEY
from tests.fakes import FakeArchive, FakeClock, FakeNotes

DAY = timedelta(days=1)
# The authority's time is the present one, and what it stamps was written before.
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
MORNING = TODAY - 9 * DAY + 6 * HOUR + HOUR / 10
NONCE = bytes.fromhex("4142434445464748")
SHA256 = hashlib.sha256(b"digest").digest()


@pytest.fixture(scope="module")
def openssl(tmp_path_factory):
    return OpensslAuthority(tmp_path_factory.mktemp("authority") / "true")


@pytest.fixture
def authority(openssl):
    openssl.requests, openssl.failure = 0, None
    return openssl


class Desk:
    """Writes digests, and has them stamped, at each quarter of an hour."""

    def __init__(self, authority, start=MORNING):
        self.clock, self.notes = FakeClock(start), FakeNotes()
        self.archive = FakeArchive(self.clock)
        ports = {"archive": self.archive, "notes": self.notes, "clock": self.clock}
        self.chain = DigestChain(signer=EcSigner(), **ports)
        self.daily = DailyTimeStamps(authority=authority, **ports)

    def run(self):
        until = self.clock.now() + timedelta(minutes=15)
        self.chain.write(until=until)
        return self.daily.stamp(until=until)

    def until(self, moment, every=HOUR / 4):
        reports = []
        while self.clock.now() < moment:
            self.clock.moment += every
            reports.append(self.run())
        return reports

    def stamps(self):
        return sorted(key for key in self.archive.objects if key.endswith(".tsr"))


def last_of(*days):
    """Return the stamps' keys of the days that end so many days after the first morning."""
    ends = [MORNING.replace(hour=0, minute=0) + day * DAY for day in days]
    return [stamp_key(digest_key(end - HOUR)) for end in ends]


def test_the_last_digest_of_each_day_is_stamped_and_no_other(authority):
    """One request a day, and a stamp that anybody can check."""
    desk = Desk(authority)
    desk.until(MORNING + 3 * DAY)
    assert desk.stamps() == last_of(1, 2, 3)
    assert authority.requests == 3
    for key in desk.stamps():
        body = desk.archive.objects[key.removesuffix(".tsr")]
        assert hashlib.sha256(body).digest() in desk.archive.objects[key]


def test_an_authority_that_is_down_holds_no_digest_back(authority):
    """It is asked a few times an hour; what it owes is made up for in the order of the days."""
    desk = Desk(authority)
    authority.failure = Retry("POST tsa.example.com/ answers 503")
    reports = desk.until(MORNING + 2 * DAY, every=timedelta(minutes=5))
    assert len([key for key in desk.archive.objects if key.endswith(".json")]) == 2 * 24 + 1
    assert 0 < authority.requests <= 6 * (48 - 17)
    assert "answers 503" in str(reports[-1].stopped)
    assert reports[-1].behind == 30 * HOUR + HOUR / 10
    authority.failure = None
    reports = desk.until(MORNING + 2 * DAY + HOUR)
    assert desk.stamps() == last_of(1, 2)
    assert [report.stamped for report in reports if report.stamped] == desk.stamps()
    assert reports[-1].behind == timedelta()


def test_hours_that_were_missed_leave_no_day_without_a_stamp(authority):
    """Digests are made up for, and so are their stamps, one for each run."""
    desk = Desk(authority)
    desk.until(MORNING + DAY)
    desk.clock.moment += 3 * DAY
    desk.until(desk.clock.now() + HOUR)
    assert desk.stamps() == last_of(1, 2, 3, 4)


def test_a_run_that_dies_with_a_stamp_in_hand_asks_for_no_second_one(authority):
    """What lies in the archive is the stamp."""
    desk = Desk(authority)
    desk.until(MORNING + DAY)
    desk.notes.notes.pop("witness")
    before = dict(desk.archive.objects)
    desk.until(MORNING + DAY + HOUR / 2)
    assert authority.requests == 1
    assert [key for key in desk.archive.objects if key not in before and ".tsr" in key] == []


def test_whoever_names_an_authority_late_begins_with_the_day_that_has_ended_last(authority):
    """Its stamp stands for all days before it."""
    desk = Desk(authority)
    while desk.clock.now() < MORNING + 3 * DAY:
        desk.clock.moment += HOUR
        desk.chain.write(until=desk.clock.now() + HOUR)
    desk.until(MORNING + 3 * DAY + HOUR)
    assert desk.stamps() == last_of(3)


def test_no_time_left_is_no_time_to_ask(authority):
    """The run would end with the answer on its way."""
    desk = Desk(authority, start=TODAY - DAY + HOUR / 10)
    desk.chain.write(until=desk.clock.now() + HOUR)
    report = desk.daily.stamp(until=desk.clock.now() + timedelta(seconds=59))
    assert (report.stamped, report.behind) == (None, HOUR / 10)
    assert authority.requests == 0


def test_of_two_runs_at_once_one_asks(authority):
    """The other one sees that the note was changed."""
    desk = Desk(authority, start=TODAY - DAY + HOUR / 10)
    desk.chain.write(until=desk.clock.now() + HOUR)
    stamp, until = authority.stamp, desk.clock.now() + HOUR

    class Meanwhile:
        def stamp(self, request):
            assert desk.daily.stamp(until=until).stamped is None
            return stamp(request)

    others = DailyTimeStamps(
        authority=Meanwhile(), archive=desk.archive, notes=desk.notes, clock=desk.clock
    )
    assert others.stamp(until=until).stamped == desk.stamps()[0]
    assert authority.requests == 1


class TestResponse:
    def test_what_was_asked_for_is_good(self, authority):
        """RFC 3161's own request and answer."""
        check(authority.stamp(request(SHA256, NONCE)), SHA256, NONCE)

    @pytest.mark.parametrize(
        ("asked", "nonce"), [(hashlib.sha256(b"other").digest(), NONCE), (SHA256, b"A" * 8)]
    )
    def test_a_stamp_of_something_else_is_none(self, authority, asked, nonce):
        """Another hash, or an answer to somebody else."""
        response = authority.stamp(request(asked, nonce))
        with pytest.raises(Retry, match="a time stamp of something else"):
            check(response, SHA256, NONCE)

    def test_a_refusal_is_told(self, authority):
        """Here of a hash that the authority does not take."""
        sha512 = request(SHA256, NONCE).replace(bytes.fromhex("040201"), bytes.fromhex("040203"))
        with pytest.raises(Retry, match="refuses a time stamp with the status 02"):
            check(authority.stamp(sha512), SHA256, NONCE)

    @pytest.mark.parametrize("body", [b"", b"<html>", b"0\x80\0\0", b"0\x05\x30\x03\x02\x01\0"])
    def test_what_is_no_stamp_is_told(self, body):
        """Whatever a server sends."""
        with pytest.raises(Retry, match="something that is no time stamp"):
            check(body, SHA256, NONCE)

    def test_a_stamp_that_is_cut_short_is_none(self, authority):
        """At every byte of it."""
        response = authority.stamp(request(SHA256, NONCE))
        for length in range(len(response)):
            with pytest.raises(Retry, match="something that is no time stamp"):
                check(response[:length], SHA256, NONCE)


class TestHttp:
    def test_it_is_asked_as_the_rfc_says(self, authority):
        """And told a hash, and nothing else."""
        asked = []

        def server(asking):
            asked.append(asking)
            return authority(asking)

        line = TimestampAuthority(
            "https://tsa.example.com/r?a=b", transport=httpx.MockTransport(server)
        )
        check(line.stamp(request(SHA256, NONCE)), SHA256, NONCE)
        [sent] = asked
        assert (sent.method, str(sent.url)) == ("POST", "https://tsa.example.com/r?a=b")
        assert sent.headers["content-type"] == "application/timestamp-query"
        assert sent.content == request(SHA256, NONCE)

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(503),
            httpx.Response(302, headers={"Location": "https://evil.example.com"}),
            httpx.ConnectTimeout("timed out"),
        ],
    )
    def test_what_is_no_answer_is_worth_another_try(self, answer):
        """The reason names no query: it may hold a key."""

        def server(asking):
            if isinstance(answer, Exception):
                raise answer
            return answer

        line = TimestampAuthority(
            "https://tsa.example.com/r?key=s3cret", transport=httpx.MockTransport(server)
        )
        with pytest.raises(Retry, match=r"POST tsa\.example\.com/r") as refused:
            line.stamp(b"request")
        assert "s3cret" not in str(refused.value)


@pytest.fixture(scope="module")
def stamped(openssl, tmp_path_factory):
    """Return the objects of an archive of four days with stamps."""
    openssl.failure = None
    desk = Desk(openssl)
    desk.until(MORNING + 4 * DAY)
    return desk.archive.objects


@pytest.fixture
def folder(stamped, tmp_path):
    for key, body in stamped.items():
        path = tmp_path / "archive" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return tmp_path / "archive"


def findings(folder, ca=None):
    authorities = [] if ca is None else read_authorities(ca)
    report = verify(Folder(folder), known=[KEY.public_key()], authorities=authorities)
    return [(one.kind, one.key, one.problem) for one in report.findings]


def another_time(body):
    """Change the year in a stamp, and nothing else of it."""
    year = f"{datetime.now(UTC):%Y}".encode()
    assert body.count(b"\x18\x0f" + year) == 1
    return body.replace(b"\x18\x0f" + year, b"\x18\x0f" + b"2096")


class TestVerify:
    def test_sound_stamps_are_counted_with_their_maker(self, folder, authority):
        """And the newest of them says since when all that is proven by it stands."""
        report = verify(Folder(folder), authorities=read_authorities(authority.ca))
        assert report.findings == []
        assert (report.witnessed, report.authorities) == (4, ["CN=Witness maker,O=Witness"])
        assert abs(report.witnessed_at - datetime.now(UTC)) < HOUR

    def test_an_edited_stamp_is_found(self, folder, authority):
        """By the authority's root; what is no stamp any more is found without it."""
        [first, second] = last_of(2, 3)
        (folder / first).write_bytes(another_time((folder / first).read_bytes()))
        (folder / second).write_bytes((folder / second).read_bytes()[:-1])
        edited = ("witness-wrong", first, "it was edited, or is by no authority of --tsa-ca")
        damaged = ("witness-wrong", second, "it is no time stamp")
        assert findings(folder, authority.ca) == [edited, damaged]
        assert findings(folder) == [damaged]

    def test_a_stamp_of_another_digest_is_found(self, folder):
        """With the authority's root or without."""
        [first, second] = last_of(2, 3)
        (folder / first).write_bytes((folder / second).read_bytes())
        problem = "it is the time stamp of something else"
        assert findings(folder) == [("witness-wrong", first, problem)]

    def test_a_stamp_that_was_taken_away_is_found_between_two_others(self, folder):
        """At either end it may be that nobody was asked, or could be."""
        for key in last_of(2, 3):
            (folder / key).unlink()
        problem = "days before and after it have a time stamp"
        assert findings(folder) == [("witness-missing", key, problem) for key in last_of(2, 3)]
        (folder / last_of(1)[0]).unlink()
        assert findings(folder) == []

    def test_a_stamp_by_somebody_else_is_found(self, folder, tmp_path):
        """Whoever can write into the archive can be an authority too."""
        other = OpensslAuthority(tmp_path / "other", name="Somebody")
        problem = "it was edited, or is by no authority of --tsa-ca"
        assert findings(folder, other.ca) == [
            ("witness-wrong", key, problem) for key in last_of(1, 2, 3, 4)
        ]

    def test_a_refusal_is_no_stamp(self, folder, authority):
        """It has nothing that could be believed."""
        [key] = last_of(2)
        (folder / key).write_bytes(authority.stamp(b"no request at all"))
        assert findings(folder) == [("witness-wrong", key, "it is no time stamp")]

    def test_a_stamp_from_before_its_digest_shows_that_a_clock_was_wrong(self, authority, tmp_path):
        """The stack's own was ahead by a day or two."""
        desk = Desk(authority, start=TODAY + 2 * DAY + HOUR / 10)
        desk.run()
        for key, body in desk.archive.objects.items():
            path = tmp_path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        [(kind, key, _)] = findings(tmp_path, authority.ca)
        assert (kind, [key]) == ("clock", desk.stamps())

    def test_the_command_names_the_maker_and_believes_its_root(self, folder, authority, tmp_path):
        """Without the root it says that it has not checked."""
        ca = tmp_path / "ca.pem"
        ca.write_bytes(authority.ca)
        unchecked = CliRunner().invoke(app, ["verify", str(folder)])
        assert unchecked.exit_code == 0, unchecked.output
        maker = "Witnessed by CN=Witness maker,O=Witness: 4 digests"
        assert maker in unchecked.output
        assert "if it is true: --tsa-ca checks it" in unchecked.output
        checked = CliRunner().invoke(app, ["verify", str(folder), "--tsa-ca", str(ca)])
        assert checked.exit_code == 0, checked.output
        assert maker in checked.output
        assert "--tsa-ca" not in checked.output

    def test_a_file_without_a_certificate_is_refused(self, authority):
        """Before anything is called witnessed."""
        with pytest.raises(Refused, match="no certificate in PEM"):
            read_authorities(b"nothing")
