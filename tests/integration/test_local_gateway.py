"""The local gateway speaks API Gateway's payload format 2.0, in both directions."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest

from local import gateway
from local.template import Route
from local.worker import InvocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUTES = [
    Route(method=method, path=path, function="WebhookFunction")
    for method, path in [
        ("PUT", "/things/{id}/{rest+}"),
        ("PUT", "/things/{id}"),
        ("PUT", "/things/own"),
        ("POST", "/webhook/ringcentral"),
    ]
]
ROUTES.append(Route(method="POST", path="/holds", function="WebhookFunction", signed=True))
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


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", PATH), ("POST", "/"), ("POST", f"{PATH}/"), ("PUT", "/things"), ("PUT", "/things/")],
)
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


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        ("/things/own", "/things/own", None),
        ("/things/a%40b", "/things/{id}", {"id": "a@b"}),
        ("/things/own/x%20y/z", "/things/{id}/{rest+}", {"id": "own", "rest": "x y/z"}),
    ],
)
def test_the_most_particular_route_is_taken(
    http: httpx.Client, function: Function, path: str, route: str, parameters: Any
) -> None:
    """The path comes decoded, the query does not."""
    assert http.put(f"{path}?who=a%40b").status_code == 200
    (event,) = function.events
    assert event["routeKey"] == event["requestContext"]["routeKey"] == f"PUT {route}"
    assert event.get("pathParameters") == parameters
    assert event["rawPath"] == unquote(path)
    assert event["rawQueryString"] == "who=a%40b"
    assert event["queryStringParameters"] == {"who": "a@b"}


def signature(key: str) -> dict[str, str]:
    scope = f"{key}/20261121/us-east-1/execute-api/aws4_request"
    words = f"Credential={scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    return {"Authorization": f"AWS4-HMAC-SHA256 {words}", "X-Amz-Date": "20261121T120000Z"}


def test_a_signed_request_says_whose_it_is(http: httpx.Client, function: Function) -> None:
    """An access key is a person here; nobody checks the signature."""
    assert http.post("/holds", headers=signature("alice")).status_code == 200
    caller = function.events[0]["requestContext"]["authorizer"]["iam"]
    assert caller["userArn"] == "arn:aws:iam::123456789012:user/alice"
    assert caller["accessKey"] == "alice"
    http.post(PATH, headers=signature("alice"))
    assert "authorizer" not in function.events[1]["requestContext"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer abc", "X-Amz-Date": "20261121T120000Z"},
        {"Authorization": signature("alice")["Authorization"]},
        {name: value.replace("execute-api", "s3") for name, value in signature("alice").items()},
    ],
)
def test_a_request_that_nobody_signed_is_forbidden(
    http: httpx.Client, function: Function, headers: dict[str, str]
) -> None:
    """Or for another service."""
    response = http.post("/holds", headers=headers)
    assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})
    assert not function.events


def test_an_event_that_lambda_does_not_take_is_refused(
    http: httpx.Client, function: Function
) -> None:
    """Audio grows by a third in Base64, so the gateway's own limit is never reached with it."""
    audio = {"Content-Type": "audio/mpeg"}
    assert http.put("/things/1", content=bytes(4_700_000), headers=audio).status_code == 200
    refused = http.put("/things/1", content=bytes(4_720_000), headers=audio)
    assert refused.status_code == 413
    assert refused.json() == {"message": "Request Entity Too Large"}
    assert len(function.events) == 1
