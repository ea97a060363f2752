"""What a download must survive, whichever provider sends it: tests for each API to inherit."""

from contextlib import suppress
from types import MappingProxyType

import httpx
import pytest

from legato.errors import Retry


class Broken(httpx.SyncByteStream):
    """A body that ends before what it announced."""

    def __iter__(self):
        yield b"half"
        raise httpx.RemoteProtocolError("peer closed connection")


class Pieces(httpx.SyncByteStream):
    """A body of two pieces, which knows what was `sent` of it and whether it is `closed`."""

    def __init__(self):
        self.sent = []
        self.closed = False

    def __iter__(self):
        for piece in (b"one", b"two"):
            self.sent.append(piece)
            yield piece

    def close(self):
        self.closed = True


def resumed(headers=None):
    """Return what answers with half of a recording, and with the rest when that is asked for."""

    def answer(request):
        if "range" not in request.headers:
            return httpx.Response(200, stream=Broken(), headers=headers)
        assert request.headers["range"] == "bytes=4-"
        rest = {**(headers or {}), "Content-Range": "bytes 4-7/8"}
        return httpx.Response(206, content=b"rest", headers=rest)

    return answer


class Downloads:
    """A subclass says where the recording is, with what headers it comes, and how to stream it."""

    path: str
    headers = MappingProxyType({})

    def stream(self, api, **more):
        raise NotImplementedError

    def read(self, api, **more):
        with self.stream(api, **more) as pieces:
            return b"".join(pieces)

    def test_a_recording_comes_as_it_arrives(self, api, server):
        """The first piece is there before the last one was sent."""
        body = Pieces()
        server.answers[self.path] = httpx.Response(200, stream=body, headers=self.headers)
        with self.stream(api) as pieces:
            assert next(pieces) == b"one"
            assert body.sent == [b"one"]
            assert next(pieces) == b"two"

    def test_a_body_that_breaks_off_is_resumed_where_it_broke(self, api, server):
        """With Range, and nothing comes twice."""
        server.answers[self.path] = resumed(self.headers)
        assert self.read(api) == b"halfrest"

    @pytest.mark.parametrize(
        ("status", "content", "span"),
        [
            (200, b"halfrest", None),
            (206, b"rest", "bytes 3-7/8"),
            (206, b"re", "bytes 4-5/8"),
            (416, b"", None),
        ],
    )
    def test_what_is_not_the_rest_is_not_taken_for_it(self, api, server, status, content, span):
        """What cannot be resumed starts again later."""
        headers = {**self.headers, **({"Content-Range": span} if span else {})}
        answer = httpx.Response(status, content=content, headers=headers)
        server.answers[self.path] = lambda request: (
            answer
            if "range" in request.headers
            else httpx.Response(200, stream=Broken(), headers=self.headers)
        )
        with pytest.raises(Retry):
            self.read(api)

    def test_a_body_that_always_breaks_off_is_repeated_later(self, api, server):
        """After three that were resumed in vain. It is never taken for the whole."""

        def answer(request):
            start = int(request.headers.get("range", "bytes=0-")[6:-1])
            span = {"Content-Range": f"bytes {start}-99/100"} if start else {}
            headers = {**self.headers, **span}
            return httpx.Response(206 if start else 200, stream=Broken(), headers=headers)

        server.answers[self.path] = answer
        with pytest.raises(Retry, match="broke off"):
            self.read(api)
        assert server.paths().count(self.path) == 4

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
    def test_a_fault_of_the_server_is_repeated_later(self, api, server, status):
        """As an attempt of the job."""
        server.answers[self.path] = httpx.Response(status, content=b"<html>")
        with pytest.raises(Retry, match=str(status)):
            self.read(api)

    def test_a_connection_that_fails_is_repeated_later(self, api, server):
        """Named by host and path."""

        def refuse(request):
            raise httpx.ConnectError("refused", request=request)

        server.answers[self.path] = refuse
        with pytest.raises(Retry, match=rf"GET [a-z]+\.[a-z.]+{self.path}: ConnectError"):
            self.read(api)

    def test_a_redirect_in_a_circle_ends(self, api, server):
        """After three redirects, as at every provider."""
        circle = {"Location": self.path}
        server.answers[self.path] = lambda _: httpx.Response(302, headers=circle)
        with pytest.raises(Retry, match="redirects too often"):
            self.read(api)
        assert server.paths().count(self.path) == 4

    def test_a_stream_that_is_left_gives_its_connection_back(self, api, server):
        """Else a few errors while reading would use up all of them."""
        body = Pieces()
        server.answers[self.path] = httpx.Response(200, stream=body, headers=self.headers)
        with suppress(RuntimeError), self.stream(api) as pieces:
            next(pieces)
            raise RuntimeError
        assert body.closed
