"""The contact centre of the running system, as a test sees it: from outside."""

from tests.e2e.swept import Names, Swept

SUB_ACCOUNT = "21550001"
UNLIMITED = {
    "limits": {
        group: [{"limit": 1000, "window": 1}] for group in ("Metadata", "Recordings", "Exchange")
    }
}
"""What RingCX is like, and beside it what Legato then may ask."""
LIMITS = "Metadata=1000/1,Recordings=1000/1,Exchange=1000/1,Auth=1000/1"


class Centre(Swept):
    """The contact centre, and what the archive has of it."""

    provider = "ringcx"
    account = SUB_ACCOUNT
    names = Names(
        account="subAccountId",
        call="dialogId",
        legs="segments",
        leg="segment",
        start="startTime",
    )
    channels = 2

    def assert_archived(self, dialog):
        """Each segment once, as it was sent, and cold; beside it nothing but what describes it."""
        legs = [f"legs/{segment}.wav" for segment in sorted(dialog.sent)]
        names = [*legs, "manifest-1.json", "peaks-1.json"]
        return self.assert_stored(dialog, names=names, classes={"GLACIER"})
