"""The local gateway speaks API Gateway's payload format 2.0, in both directions."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local import gateway
from local.processes import LocalError
from local.template import Route
from local.worker import InvocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUTES = [Route(method="POST", path="/webhook/ringcentral", function="WebhookFunction")]
PATH = "/webhook/ringcentral"


class Function:
    """Remembers its events and answers what it is told to."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: Any = {"statusCode": 200}

    def __call__(self, event: Any) -> Any:
        self.events.append(event)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def http(function: Function, free_port: Callable[[], int]) -> Iterator[httpx.Client]:
    app = gateway.application(ROUTES, {"WebhookFunction": function})
    with gateway.serving(app, "127.0.0.1", free_port()) as url, httpx.Client(base_url=url) as http:
        yield http


def test_request_becomes_an_event(http: httpx.Client, function: Function) -> None:
    http.post(
        f"{PATH}?a=1&a=2",
        content=b'{"uuid": "1"}',
        headers={"Verification-Token": "abc", "Content-Type": "application/json; charset=UTF-8"},
    )
    (event,) = function.events
    assert event["version"] == "2.0"
    assert event["routeKey"] == f"POST {PATH}"
    assert event["rawPath"] == PATH
    assert event["rawQueryString"] == "a=1&a=2"
    assert event["queryStringParameters"] == {"a": "1,2"}
    assert event["headers"]["verification-token"] == "abc"
    assert event["body"] == '{"uuid": "1"}'
    assert event["isBase64Encoded"] is False
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["http"]["path"] == PATH
    assert event["requestContext"]["stage"] == "$default"
    assert event["requestContext"]["requestId"]


def test_request_without_a_body_has_none(http: httpx.Client, function: Function) -> None:
    """As RingCentral's handshake comes: Content-Length 0."""
    http.post(PATH, headers={"Validation-Token": "xyz"})
    assert "body" not in function.events[0]
    assert function.events[0]["headers"]["content-length"] == "0"


def test_body_that_is_no_text_is_base64(http: httpx.Client, function: Function) -> None:
    http.post(PATH, content=b"\xff\x00", headers={"Content-Type": "audio/mpeg"})
    http.post(PATH, content=b"\xff\x00", headers={"Content-Type": "application/json"})
    for event in function.events:
        assert event["isBase64Encoded"] is True
        assert base64.b64decode(event["body"]) == b"\xff\x00"


def test_answer_becomes_a_response(http: httpx.Client, function: Function) -> None:
    function.answer = {
        "statusCode": 401,
        "headers": {"Validation-Token": "xyz", "Content-Type": "application/json"},
        "body": base64.b64encode(b"{}").decode(),
        "isBase64Encoded": True,
        "cookies": ["a=1", "b=2"],
    }
    response = http.post(PATH)
    assert response.status_code == 401
    assert response.headers["validation-token"] == "xyz"
    assert response.headers["content-type"] == "application/json"
    assert response.content == b"{}"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_any_other_value_is_the_body(http: httpx.Client, function: Function) -> None:
    function.answer = {"message": "hello"}
    response = http.post(PATH)
    assert response.status_code == 200
    assert response.json() == {"message": "hello"}


@pytest.mark.parametrize("answer", [InvocationError("it raised"), {"statusCode": "many"}])
def test_failed_function_is_a_500(http: httpx.Client, function: Function, answer: Any) -> None:
    function.answer = answer
    response = http.post(PATH)
    assert response.status_code == 500
    assert response.json() == {"message": "Internal Server Error"}


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", "/"), ("POST", f"{PATH}/")])
def test_what_the_template_does_not_name_is_not_found(
    http: httpx.Client, function: Function, method: str, path: str
) -> None:
    response = http.request(method, path)
    assert response.status_code == 404
    assert response.json() == {"message": "Not Found"}
    assert not function.events


def test_more_than_ten_megabytes_are_refused(http: httpx.Client, function: Function) -> None:
    assert http.post(PATH, content=bytes(gateway.MAX_BODY_BYTES + 1)).status_code == 413
    assert not function.events


def test_a_route_that_the_gateway_cannot_play_is_an_error() -> None:
    route = Route(method="GET", path="/calls/{id}", function="F")
    with pytest.raises(LocalError, match="path parameters"):
        gateway.application([route], {})
