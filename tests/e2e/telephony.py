"""The RingEX account of the running system, as a test sees it: from outside."""

from tests.e2e.swept import Names, Swept


class Telephony(Swept):
    """The account, and what the archive has of it. Nobody is told of the calls that are placed."""

    provider = "ringex"
    account = ""
    names = Names(
        account="accountId",
        call="telephonySessionId",
        legs="legs",
        leg="recording",
        start="startTime",
    )

    def place(self, legs=1, *, audio=(), **order):
        leg = {"format": "mp3" if audio else "wav"}
        return super().place(legs, audio=audio, leg=leg, **{"emit": False, **order})

    def subscriptions(self):
        return self._http.get("/subscriptions").raise_for_status().json()
