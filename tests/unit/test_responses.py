"""Bodies of recordings: every byte that was announced, no more and no fewer."""

import gzip
from contextlib import contextmanager

import httpx
import pytest

from legato.errors import Denied, Failed, Retry
from legato.providers import responses

WHOLE = b"0123456789"
URL = "https://provider.example/recording/7"


class Body(httpx.SyncByteStream):
    """Sends these pieces, and then an error, if there is one."""

    def __init__(self, *pieces, error=None):
        self.pieces = pieces
        self.error = error

    def __iter__(self):
        yield from self.pieces
        if self.error:
            raise self.error


def opening(*given):
    """Return what opens these responses, one after the other, and which headers it was sent."""
    queue, asked = list(given), []
    client = httpx.Client(transport=httpx.MockTransport(lambda _: queue.pop(0)))

    @contextmanager
    def opened(headers):
        asked.append(headers)
        with client.stream("GET", URL, headers=headers) as response:
            yield response

    return opened, asked


def read(*given):
    return b"".join(responses.pieces(opening(*given)[0]))


def sent(body, *, length=None, status=200, error=None, **headers):
    head = {name.replace("_", "-"): value for name, value in headers.items()}
    if length is not None:
        head["content-length"] = str(length)
    return httpx.Response(status, stream=Body(body, error=error), headers=head)


def rest(body, *, start, total=10, **parts):
    span = f"bytes {start}-9/{total}"
    return sent(body, status=206, content_range=span, **parts)


CUT = httpx.RemoteProtocolError("peer closed connection")


@pytest.mark.parametrize("error", [None, CUT])
@pytest.mark.parametrize("start", [1, 9])
def test_a_body_that_is_cut_is_resumed_where_it_was(error, start):
    """With or without an error of the line, and by a single byte too."""
    opened, asked = opening(
        sent(WHOLE[:start], length=10, error=error),
        rest(WHOLE[start:], start=start, length=10 - start),
    )
    assert b"".join(responses.pieces(opened)) == WHOLE
    assert asked == [{}, {"Range": f"bytes={start}-"}]


def test_a_body_that_is_always_cut_is_repeated_later():
    """It says how much had come."""
    parts = [rest(b"", start=9, length=1) for _ in range(3)]
    with pytest.raises(Retry, match="broke off: 9 of 10 bytes"):
        read(sent(WHOLE[:9], length=10), *parts)


def test_a_rest_that_is_cut_is_resumed_again():
    """The total is that of the recording, not of the part."""
    assert (
        read(sent(WHOLE[:3], length=10), rest(WHOLE[3:5], start=3), rest(WHOLE[5:], start=5))
        == WHOLE
    )


def test_a_first_206_is_counted_by_its_range():
    """A media server may answer 206 by itself."""
    assert read(rest(WHOLE[:4], start=0), rest(WHOLE[4:], start=4)) == WHOLE


@pytest.mark.parametrize(
    "given",
    [
        [sent(WHOLE + b"x", length=10)],
        [sent(WHOLE[:4], length=10), rest(WHOLE[4:] + b"x", start=4)],
        [rest(WHOLE + b"x", start=0)],
    ],
)
def test_a_byte_too_many_is_an_error(given):
    """Whatever it is, it is not the recording that was announced."""
    with pytest.raises(Retry, match="sends more than 10 bytes"):
        read(*given)


def test_a_line_that_breaks_after_the_last_byte_has_broken_nothing():
    """All that was announced has come."""
    assert read(sent(WHOLE, length=10, error=CUT)) == WHOLE


@pytest.mark.parametrize(
    "second",
    [
        rest(WHOLE[4:], start=4, total=11),
        rest(WHOLE[4:], start=4, etag='"b"'),
        rest(WHOLE[4:], start=4, content_encoding="gzip"),
        rest(WHOLE[4:], start=5),
        sent(WHOLE, length=10),
    ],
)
def test_the_rest_of_something_else_is_not_taken(second):
    """A recording may have been replaced meanwhile."""
    with pytest.raises(Retry):
        read(sent(WHOLE[:4], length=10, etag='"a"'), second)


def test_a_rest_that_does_not_say_the_total_ends_where_the_whole_does():
    """`*` stands for a total that the server does not know."""
    assert read(sent(WHOLE[:4], length=10), rest(WHOLE[4:], start=4, total="*")) == WHOLE
    with pytest.raises(Retry, match="only a part"):
        read(sent(WHOLE[:4], error=CUT), rest(WHOLE[4:], start=4, total="*"))


@pytest.mark.parametrize("length", ["", "ten", "-1", "10, 10"])
def test_a_length_that_is_none_announces_nothing(length):
    """The body ends where it ends."""
    assert read(sent(WHOLE, length=length)) == WHOLE


def test_what_is_compressed_is_counted_as_it_was_sent():
    """Nobody asked for it; it cannot be resumed."""
    packed = gzip.compress(WHOLE * 100)
    whole = sent(packed, length=len(packed), content_encoding="gzip")
    assert read(whole) == WHOLE * 100
    cut = sent(packed[:-1], length=len(packed), content_encoding="gzip")
    with pytest.raises(Retry, match="broke off"):
        read(cut)


def test_a_body_that_stands_still_is_repeated_later():
    """At once: each resumption would hold up the worker for the whole timeout."""
    opened, asked = opening(sent(WHOLE[:4], length=10, error=httpx.ReadTimeout("")))
    with pytest.raises(Retry, match="ReadTimeout"):
        b"".join(responses.pieces(opened))
    assert len(asked) == 1


def test_it_can_be_left_at_any_time():
    """Before the first piece, and after it: the connection is given back."""
    responses.pieces(opening()[0]).close()
    response = sent(WHOLE[:4], length=10)
    pieces = responses.pieces(opening(response)[0])
    next(pieces)
    pieces.close()
    assert response.is_closed


@pytest.mark.parametrize("error", [Failed("no"), Denied("no")])
def test_a_refusal_is_the_recordings_own(error):
    """It never fails the call. Of a resumption it says only that it cannot be resumed."""
    answered = [sent(WHOLE[:4], length=10)]

    @contextmanager
    def opened(_headers):
        if not answered:
            raise error
        yield answered.pop()

    with pytest.raises(Retry, match="cannot be resumed: no"):
        b"".join(responses.pieces(opened))
    with pytest.raises(Denied, match="no"):
        b"".join(responses.pieces(opened))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (59.5, 59.5),
        (10**400, 600),
        ("inf", 86400),
        ("nan", 600),
        ("soon", 600),
        (0, 600),
        (-1, 600),
        (None, 600),
        ([], 600),
    ],
)
def test_the_life_of_a_token_is_read_with_care(value, seconds):
    """As number or text; else it is the usual one."""
    assert responses.life(value, usual=600) == seconds


def test_json_that_is_nested_too_deeply_is_none():
    """It would end the worker."""
    request = httpx.Request("GET", URL)
    response = httpx.Response(200, content=b"[" * 200_000, request=request)
    with pytest.raises(Retry):
        responses.read_json(response)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'["\xff\xfe", "good"]', ["\ufffd\ufffd", "good"]),
        (b'["\xed\xa0\x80", "good"]', ["\ufffd" * 3, "good"]),
        (b"[" + b"9" * 5000 + b', "good"]', ["9" * 5000, "good"]),
        (b'[-12, 1e999, "good"]', [-12, float("inf"), "good"]),
        ('["ü", "good"]'.encode("utf-16"), ["ü", "good"]),
    ],
)
def test_what_one_record_holds_that_json_cannot_costs_no_other(body, value):
    """A page of a list is read all the same."""
    assert responses.parsed(body) == value
