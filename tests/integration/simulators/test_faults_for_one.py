"""Faults of one recording, and outages: the same orders for every simulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from tests.integration.simulators import kazoo_driver, ringcx_driver, ringex_driver


@dataclass(frozen=True)
class Provider:
    """A simulator with two recordings of a minute: how one is fetched, and where something else."""

    name: str
    driver: Any
    first: str
    second: str
    fetch: Callable[[str], httpx.Response]
    route: str
    elsewhere: Callable[[], httpx.Response]
    lists: str

    def order(self, **fault: Any) -> httpx.Response:
        answer: httpx.Response = self.driver.control("faults", fault)
        return answer

    def break_first(self, **fault: Any) -> None:
        answer = self.order(**{"for": self.first}, **fault)
        assert answer.status_code == 201, answer.text


@contextmanager
def ringex() -> Iterator[Provider]:
    with ringex_driver.driving() as driver:
        names = [driver.place(legs=[{"duration": 60}])["recordingIds"][0] for _ in range(2)]
        log = f"{ringex_driver.ACCOUNT}/call-log"
        yield Provider(
            "ringex",
            driver,
            *names,
            lambda name: driver.content(name, check=False),
            "content",
            lambda: driver.ask(log, check=False),
            "call-log",
        )


@contextmanager
def ringcx() -> Iterator[Provider]:
    with ringcx_driver.driving() as driver:
        placed = {}
        for _ in range(2):
            call = driver.place(60, ago=600)
            placed[call["segmentIds"][0]] = call
        yield Provider(
            "ringcx",
            driver,
            *placed,
            lambda name: driver.recording(placed[name], check=False),
            "recording",
            lambda: driver.metadata(check=False),
            "metadata",
        )


@contextmanager
def kazoo() -> Iterator[Provider]:
    with kazoo_driver.driving() as driver:
        names = [driver.one(duration=60) for _ in range(2)]
        yield Provider(
            "kazoo",
            driver,
            *names,
            lambda name: driver.audio(name, check=False),
            "recording",
            lambda: driver.ask("recordings", check=False),
            "recordings",
        )


@pytest.fixture(params=[ringex, ringcx, kazoo], ids=lambda each: each.__name__)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with request.param() as provider:
        yield provider


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_a_status_is_one_recordings_own_for_ever(provider: Provider, status: int) -> None:
    """Whatever is asked for it; others and all else are untouched, until it is taken back."""
    provider.break_first(status=status)

    assert {provider.fetch(provider.first).status_code for _ in range(5)} == {status}
    assert provider.fetch(provider.second).status_code == 200
    assert provider.elsewhere().status_code == 200
    assert provider.driver.stats()["faults"] == {f"{provider.route} status": 5}
    assert provider.driver.control("faults", method="DELETE").status_code == 204
    assert provider.fetch(provider.first).status_code == 200


def test_the_later_fault_of_one_recording_counts(provider: Provider) -> None:
    provider.break_first(kind="status", status=500)
    provider.break_first(kind="html")

    answer = provider.fetch(provider.first)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_a_fault_of_one_recording_can_end(provider: Provider) -> None:
    """After so many times, or so many seconds."""
    provider.break_first(kind="status", times=2)
    assert [provider.fetch(provider.first).status_code for _ in range(3)] == [503, 503, 200]

    provider.break_first(kind="status", seconds=60)
    assert provider.fetch(provider.first).status_code == 503
    provider.driver.clock.now += 60
    assert provider.fetch(provider.first).status_code == 200


def test_bodies_that_are_no_audio(provider: Provider) -> None:
    provider.break_first(kind="empty")
    empty = provider.fetch(provider.first)
    provider.break_first(kind="json")
    json = provider.fetch(provider.first)
    provider.break_first(kind="redirect", location="https://media.example.com/1")
    redirect = provider.fetch(provider.first)

    assert (empty.status_code, empty.content) == (200, b"")
    assert (json.status_code, json.headers["content-type"]) == (200, "application/json")
    assert redirect.headers["location"] == "https://media.example.com/1"


def test_a_body_can_lack_bytes_as_if_it_were_whole(provider: Provider) -> None:
    whole = provider.fetch(provider.first).content
    provider.break_first(kind="cut", bytes=7, asIfWhole=True)

    cut = provider.fetch(provider.first)

    assert cut.content == whole[:-7]
    assert int(cut.headers["content-length"]) == len(whole) - 7


def test_a_body_can_be_slow(provider: Provider) -> None:
    """So many bytes a second, and all of them at last."""
    whole = provider.fetch(provider.second).content
    provider.break_first(kind="slow", bytesPerSecond=len(whole) / 10)
    assert provider.driver.pauses == []

    assert len(provider.fetch(provider.first).content) == len(whole)
    assert sum(provider.driver.pauses) == pytest.approx(10, abs=0.5)
    assert max(provider.driver.pauses) <= 0.26


def test_an_answer_can_hang(provider: Provider) -> None:
    provider.break_first(kind="hang", seconds=99)

    assert provider.fetch(provider.first).status_code == 200
    assert provider.driver.pauses == [99]


def test_everything_can_be_out_for_an_hour(provider: Provider) -> None:
    """Every route but those of the control side, however often it is asked."""
    order = {"kind": "status", "status": 503, "route": "any", "seconds": 3600}
    assert provider.order(**order).status_code == 201

    for _ in range(3):
        assert provider.fetch(provider.first).status_code == 503
        assert provider.elsewhere().status_code == 503
    provider.driver.token = ""
    provider.driver.clock.now += 3599
    assert provider.elsewhere().status_code == 503
    provider.driver.clock.now += 1
    provider.driver.log_in()
    assert provider.elsewhere().status_code == 200
    assert provider.fetch(provider.first).status_code == 200


def test_a_fault_of_one_recording_needs_a_route_that_names_it(provider: Provider) -> None:
    known = {"ringex": "endless", "ringcx": "bad-row", "kazoo": "endless"}
    lists = {"kind": known[provider.name], "route": provider.lists}
    assert provider.order(**lists).status_code == 201

    for fault in (lists, {"kind": "status", "route": provider.lists}):
        assert provider.order(**{"for": provider.first}, **fault).status_code == 400


def test_a_recording_is_refused_in_ringcentrals_words() -> None:
    """A permission is named only where one lacks."""
    with ringex() as provider:
        provider.break_first(kind="status", status=403)
        one = provider.fetch(provider.first).json()
        provider.break_first(kind="status", status=403, permissionName="ReadCallRecording")
        lacking = provider.fetch(provider.first).json()
        provider.order(kind="status", status=403, route="call-log")
        everywhere = provider.elsewhere().json()

    assert one["errors"] == [
        {"errorCode": "CMN-404", "message": "Attempt to access another extension"}
    ]
    assert "permissionName" not in one
    assert (lacking["errorCode"], lacking["permissionName"]) == ("CMN-408", "ReadCallRecording")
    assert (everywhere["errorCode"], everywhere["permissionName"]) == ("CMN-408", "ReadCallLog")


def test_a_recording_is_refused_in_ringcxs_words() -> None:
    with ringcx() as provider:
        provider.break_first(kind="status", status=403)
        refused = provider.fetch(provider.first).json()
        provider.break_first(kind="status", status=404)
        missing = provider.fetch(provider.first).json()
        provider.break_first(kind="status", status=429)
        many = provider.fetch(provider.first)

    assert refused["errorCode"] == "access.denied.exception"
    assert refused["developerMessage"] == "Access is denied."
    assert refused["requestUri"].endswith(f"/segments/{provider.first} - GET")
    assert missing["developerMessage"] == "Not found"
    assert (many.text, many.headers["retry-after"]) == ("rate", "1")


def test_a_recording_is_refused_in_kazoos_words() -> None:
    with kazoo() as provider:
        provider.break_first(kind="status", status=403)
        refused = provider.fetch(provider.first).json()

    assert (refused["error"], refused["message"]) == ("403", "forbidden")
    assert refused["data"] == {"message": "forbidden"}
    assert len(refused["request_id"]) == 32


def test_a_cut_body_breaks_the_connection_and_a_slow_one_does_not() -> None:
    """On the wire: what lacks is missed by the client, what is slow is not."""
    with ringex() as provider:
        app = provider.driver.app
        provider.break_first(kind="cut", bytes=3)
        headers = {"Authorization": f"Bearer {provider.driver.token}"}
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started and time.monotonic() < deadline:
                thread.join(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            path = f"{ringex_driver.ACCOUNT}/recording/{provider.first}/content"
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without"):
                    http.get(path, headers=headers)
                provider.break_first(kind="slow", bytesPerSecond=50_000)
                assert len(http.get(path, headers=headers).content) == round(60 / 0.036) * 144
        finally:
            server.should_exit = True
            thread.join(10)
