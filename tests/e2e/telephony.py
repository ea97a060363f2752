"""The RingEX account of the running system, as a test sees it: from outside."""

from tests.e2e.swept import RINGEX_ACCOUNT, Names, Swept
from tests.fakes import an_id
from tests.patience import until


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

    def call(self, **order):
        """Place a call with the simulator's own audio; return its id."""
        return self.post("calls", order)["telephonySessionId"]

    def entry(self, call):
        """Return what the ledger says of a call."""
        return self.ledger.load(an_id(call, account=RINGEX_ACCOUNT))

    def at_rest(self, call, status, revision=0):
        """Wait until nobody works on a call that is as it should be; return its entry."""

        def rests():
            state = self.entry(call)
            found = (state.status, state.revision, state.lease_until)
            return found == (status, revision, None) and state

        return until(rests)

    def subscriptions(self):
        return self._http.get("/subscriptions").raise_for_status().json()
