"""How long RingCentral keeps recordings: asked a few times a day, remembered, and never a worry."""

from datetime import timedelta

import httpx
import pytest

from legato.app.ringex import media_host
from legato.errors import Barred
from legato.providers.ringex.api import RingexApi, group_of
from legato.providers.ringex.provider import CALL_LOG
from legato.providers.ringex.retention import (
    SETTINGS,
    USUAL_DAYS,
    RingexRetention,
    known_retention,
)
from legato.settings import Limit
from tests.fakes import FakeClock, FakeNotes, FakeServer

TOKEN = {"access_token": "t", "expires_in": 3600}
LIMITS = {group: (Limit(10, 60),) for group in ("Light", "Medium", "Heavy", "Auth")}


class Desk:
    def __init__(self):
        self.clock, self.notes, self.server = FakeClock(), FakeNotes(), FakeServer()
        self.server.answers["/restapi/oauth/token"] = httpx.Response(200, json=TOKEN)
        self.api = RingexApi(
            platform="https://platform.ringcentral.com",
            media="https://media.ringcentral.com",
            credentials=lambda: {"clientId": "id", "clientSecret": "s", "jwt": "header.body.sign"},
            limits=LIMITS,
            notes=self.notes,
            clock=self.clock,
            sleep=lambda _: None,
            transport=httpx.MockTransport(self.server),
        )

    def says(self, settings, status=200):
        self.server.answers[SETTINGS] = lambda _: httpx.Response(status, json=settings)

    def days(self):
        days = RingexRetention(self.api, self.notes, self.clock)(["ringex"])["ringex"]
        assert known_retention(self.notes) == timedelta(days=days)
        return days

    def asked(self):
        return self.server.paths().count(SETTINGS)


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ({"automatic": {"retentionPeriod": 30}, "onDemand": {"retentionPeriod": 90}}, 30),
        ({"automatic": {"retentionPeriod": 60, "maxNumberLimit": 100_000}}, 60),
        ({}, USUAL_DAYS),
        ({"automatic": "odd", "onDemand": {"retentionPeriod": 10**300}}, USUAL_DAYS),
        ({"automatic": {"retentionPeriod": True}, "onDemand": {"retentionPeriod": 0}}, USUAL_DAYS),
    ],
)
def test_the_shorter_of_what_the_account_says_counts(settings, days):
    """Ninety days where it does not say it."""
    desk = Desk()
    desk.says(settings)
    assert desk.days() == days


def test_it_is_asked_a_few_times_a_day_and_remembered():
    """While RingCentral does not answer, what it last said counts."""
    desk = Desk()
    desk.says({"automatic": {"retentionPeriod": 30}})
    assert [desk.days(), desk.days(), desk.asked()] == [30, 30, 1]
    desk.clock.advance(6 * 3600)
    desk.says({}, status=503)
    assert [desk.days(), desk.days(), desk.asked()] == [30, 30, 2]


def test_who_lacks_the_permission_reads_the_call_log_all_the_same():
    """Scope and permission are other ones; it is asked no more often than where it is granted."""
    desk = Desk()
    desk.says({"errors": [{"errorCode": "CMN-408", "permissionName": "ReadCompanyInfo"}]}, 403)
    desk.server.answers[CALL_LOG] = httpx.Response(200, json={"records": []})
    assert [desk.days(), desk.days(), desk.asked()] == [USUAL_DAYS, USUAL_DAYS, 1]
    try:
        assert desk.api.get(CALL_LOG, {}) == {"records": []}
    except Barred as error:
        pytest.fail(f"the call log is barred too: {error}")
    assert group_of("GET", SETTINGS) == "Light"


@pytest.mark.parametrize(
    ("platform", "media"),
    [
        ("https://platform.ringcentral.com", "https://media.ringcentral.com"),
        ("https://platform.ringcentral.biz", "https://media.ringcentral.biz"),
        ("http://127.0.0.1:4601", "http://127.0.0.1:4601"),
    ],
)
def test_one_address_tells_both_hosts(platform, media):
    """RingCentral's own, AT&T's and Verizon's, and the simulator, which serves both."""
    assert media_host(platform) == media
