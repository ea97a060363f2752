"""The checks of the providers against their simulators: what is right, and each thing wrong."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from legato.app.checks import check_kazoo, check_ringcx, check_ringex
from legato.setup.findings import State
from local.simulators.kazoo.config import FIRST, SECOND
from local.simulators.process import running
from tests.checked import assert_told, one, states
from tests.e2e.centre import SUB_ACCOUNT, UNLIMITED
from tests.e2e.conftest import FAST

OK, WRONG = State.OK, State.WRONG
CREDENTIAL = {
    "clientId": "legato-local-client",
    "clientSecret": "legato-local-secret",
    "jwt": "legato-local-jwt",
}
KEY = "legato-local-key".ljust(64, "0")
OTHERS_KEY = "another-accounts-key".ljust(64, "0")
SCOPES = "ReadAccounts ReadCallLog ReadCallRecording EditCallLog CallControl SubscriptionWebhook"
AS_IT_WAS = {
    "ringex": {
        "scopes": SCOPES,
        "userPermissions": "ReadCompanyCallLog ReadCallRecording",
        "jwtFlow": True,
    },
    "ringcx": {"wemAccess": True, "recordingActivated": True},
    "kazoo": {"notStored": "404"},
}


class Simulators:
    def __init__(self, urls):
        self.urls = urls

    def post(self, provider, what, order=None):
        url = f"{self.urls[provider]}/_sim/{what}"
        httpx.post(url, json=order, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def simulators(tmp_path_factory, free_port):
    """Run one of each provider, without any limits that a test would wait for."""
    folder = tmp_path_factory.mktemp("simulators")
    ports = [free_port() for _ in range(3)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    settings = [
        {"limits": FAST, "logLag": 0},
        {"platformUrl": urls[0], **UNLIMITED},
        {
            "apiKeys": {KEY: FIRST, OTHERS_KEY: SECOND},
            "bucketTokens": 10_000,
            "tokensPerSecond": 10_000,
        },
    ]
    names = ("ringex", "ringcx", "kazoo")
    started = [
        running(name, "127.0.0.1", port, given, directory=folder)
        for name, port, given in zip(names, ports, settings, strict=True)
    ]
    with started[0] as ringex, started[1] as ringcx, started[2] as kazoo:
        for wait in (ringex, ringcx, kazoo):
            wait()
        yield Simulators(dict(zip(names, urls, strict=True)))


@pytest.fixture
def world(simulators):
    """Begin with nothing recorded, and everything right."""
    for provider, settings in AS_IT_WAS.items():
        simulators.post(provider, "reset")
        simulators.post(provider, "settings", settings)
    return simulators


def ringex(world, **changed):
    return list(check_ringex({**CREDENTIAL, **changed}, url=world.urls["ringex"]))


def ringcx(world, *names, **more):
    at = {"platform": world.urls["ringex"], "url": world.urls["ringcx"]}
    return list(check_ringcx(CREDENTIAL, sub_account_ids=names or (SUB_ACCOUNT,), **at, **more))


def kazoo(world, *names, key=KEY, base="/v2"):
    url = f"{world.urls['kazoo']}{base}"
    return list(check_kazoo({"apiKey": key}, url=url, account_ids=names or (FIRST,)))


def all_ok(lines):
    return set(states(lines).values()) == {"ok"}


def test_ringex(world):
    """What RingCentral answers to a credential, an app and a user that is not right."""
    assert all_ok(ringex(world))
    world.post("ringex", "calls", {"legs": [{"duration": 40}]})
    lines = ringex(world)
    assert all_ok(lines)
    assert "audio/mpeg" in one(lines, "RingEX recordings").text

    for changed, code in (
        ({"clientSecret": "wrong"}, "OAU-146"),
        ({"clientId": "of-another-app"}, "OAU-153"),
        ({"jwt": "of.another.app"}, "OAU-331"),
    ):
        [finding] = ringex(world, **changed)
        assert_told(finding, WRONG, code)

    world.post("ringex", "settings", {"jwtFlow": False})
    [finding] = ringex(world)
    assert_told(finding, WRONG, "OAU-251", "JWT auth flow")
    world.post("ringex", "settings", {"jwtFlow": True, "scopes": "ReadAccounts ReadCallLog"})
    lines = ringex(world)
    assert_told(one(lines, "RingEX scopes"), WRONG, "lacks ReadCallRecording")
    assert_told(one(lines, "RingEX recordings"), WRONG, "CMN-401 ReadCallRecording")
    world.post("ringex", "settings", {"scopes": SCOPES, "userPermissions": "ReadCallRecording"})
    assert_told(one(ringex(world), "RingEX call log"), WRONG, "CMN-408 ReadCompanyCallLog")
    world.post("ringex", "settings", {"userPermissions": "ReadCompanyCallLog"})
    assert_told(one(ringex(world), "RingEX recordings"), WRONG, "CMN-408 ReadCallRecording")


def test_ringcx(world):
    """What RingCX answers where it is not activated, to other ids, and to a user without it."""
    assert all_ok(ringcx(world, "*"))
    begin = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    world.post("ringcx", "calls", {"segments": [{"duration": 2, "startTime": begin}]})
    lines = ringcx(world)
    assert all_ok(lines)
    assert "audio/wav" in one(lines, f"RingCX recordings ({SUB_ACCOUNT})").text

    main, company = "21550000", "401555000"
    finding = one(ringcx(world, main, company, "7"), "RingCX sub-accounts")
    assert_told(finding, WRONG, "main account id", "RingCentral account id", "7 is not among")
    assert_told(one(ringcx(world, account_id=main), "RingCX account"), WRONG, company)

    world.post("ringcx", "settings", {"recordingActivated": False})
    finding = one(ringcx(world), f"RingCX recordings ({SUB_ACCOUNT})")
    assert_told(finding, WRONG, "403", "activate call recording")
    world.post("ringcx", "settings", {"wemAccess": False})
    finding = one(ringcx(world), f"RingCX metadata ({SUB_ACCOUNT})")
    assert_told(finding, WRONG, "403", "WEM access")
    world.post("ringcx", "faults", {"status": 403, "route": "exchange", "times": 2})
    assert_told(one(ringcx(world), "RingCX log-in"), WRONG, "403", "administrator")


def test_kazoo(world):
    """What Kazoo answers to a key of somebody else, and at an address that is not the API's."""
    assert all_ok(kazoo(world, f"{FIRST}/*"))
    world.post("kazoo", "calls", {"recordings": [{"duration": 2}]})
    lines = kazoo(world)
    assert all_ok(lines)
    assert "audio/mpeg" in one(lines, f"Kazoo recordings ({FIRST})").text

    [finding] = kazoo(world, key="x" * 64)
    assert_told(finding, WRONG, "no such API key (404)")
    [finding] = kazoo(world, key="short")
    assert_told(finding, WRONG, "64 characters")
    lines = kazoo(world, key=OTHERS_KEY)
    assert one(lines, "Kazoo log-in").state is OK
    assert_told(one(lines, f"Kazoo recordings ({FIRST})"), WRONG, "does not see", "403")
    [finding] = kazoo(world, base="")
    assert_told(finding, WRONG, "must end with /v2")
    world.post("kazoo", "faults", {"kind": "html", "route": "api-auth"})
    [finding] = kazoo(world)
    assert_told(finding, WRONG, "200 (text/html)")

    world.post("kazoo", "reset")
    order = {"recordings": [{"duration": 2}] * 2, "readyAfter": 3600}
    world.post("kazoo", "calls", order)
    assert_told(one(kazoo(world), f"Kazoo recordings ({FIRST})"), WRONG, "store_recordings")
    world.post("kazoo", "settings", {"notStored": "empty"})
    assert_told(one(kazoo(world), f"Kazoo recordings ({FIRST})"), WRONG, "store_recordings")
