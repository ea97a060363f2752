"""The one HTTP client."""

import logging

import httpx
import pytest

from legato.providers.client import web_client


@pytest.mark.attacks("a proxy, a .netrc or a certificate authority that the environment names")
def test_nothing_of_the_environment_is_used(monkeypatch, tmp_path):
    """Tokens go to whom they are for, whatever the variables of a machine say."""
    (tmp_path / ".netrc").write_text("default login someone password hidden")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(302, headers={"Location": "/again", "Set-Cookie": "a=b"})

    with web_client(timeout=1, transport=httpx.MockTransport(answer)) as client:
        assert client._mounts == {}
        assert client.get("https://h/x").status_code == 302
        client.get("https://h/x")
    assert len(asked) == 2
    assert not {"authorization", "cookie"} & {*asked[0].headers, *asked[1].headers}


@pytest.mark.attacks("a log that shows a token in the query of an address")
def test_no_address_is_logged(caplog):
    """As httpx does by itself, with the whole query."""
    caplog.set_level(logging.INFO)
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with web_client(timeout=1, transport=transport) as client:
        client.get("https://h/x?token=hidden")
    assert "hidden" not in caplog.text
