"""Calls are found by following the call log; notifications only make it faster."""

from tests.e2e.swept import RINGEX_ACCOUNT
from tests.fakes import an_id
from tests.patience import until

SCHEDULED = ("SweeperFunction",)
"""The auditor would ask what was recorded in the last days, and here requests are counted."""
LOOKS = {"call-log", "call-log-record", "recording"}
"""Requests that ask about a single call or a batch of them."""
TWO_LEGS = [{"duration": 1, "format": "mp3"}] * 2


def test_a_call_of_which_no_notification_came_is_archived_all_the_same(telephony):
    """With no request of the call log beside the sweeps."""
    telephony.count_anew()
    state = telephony.at_rest(telephony.call(legs=TWO_LEGS, emit=False), "archived", 1)
    assert len(state.legs) == 2
    requests = telephony.stats()["requests"]
    assert not LOOKS & set(requests)
    assert requests["content"] == {"200": 2}


def test_a_record_that_is_rewritten_later_makes_a_revision_of_all_legs(telephony):
    """By itself, hours after the call or seconds as here; the first revision is not touched."""
    legs = [{"duration": 1, "format": "mp3"}] * 3
    call = telephony.call(legs=legs, legsAtFirst=2, rewrittenAfter=8, emit=False)
    first = telephony.at_rest(call, "archived", 1)
    before, sealed = telephony.versions(first), telephony.manifest(first)
    assert len(sealed["legs"]) == 2

    second = telephony.at_rest(call, "archived", 2)

    manifest = telephony.manifest(second)
    assert len(manifest["legs"]) == 3
    assert manifest["supersedes"]["key"] == first.manifest.key
    assert before.items() <= telephony.versions(second).items()
    assert telephony.manifest(first) == sealed


def test_a_call_that_was_never_recorded_is_empty_without_a_request(telephony):
    """Its notifications cost messages and reads of the ledger, and nothing at RingCentral."""
    telephony.count_anew()
    calls = [telephony.call(legs=[], duration=5, emit=True) for _ in range(5)]
    for call in calls:
        assert telephony.at_rest(call, "empty").reason is None
    stats = telephony.stats()
    assert stats["notifications"]["sent"] > len(calls)
    assert not (LOOKS | {"content"}) & set(stats["requests"])


def test_a_token_that_has_expired_loses_nothing(telephony):
    """The sweep begins anew, from before the last time that it came to an end."""
    telephony.settings(syncTokenSeconds=0)
    telephony.count_anew()
    telephony.at_rest(telephony.call(legs=TWO_LEGS, emit=False), "archived", 1)
    assert telephony.stats()["requests"]["call-log-extract-sync"]["400"] >= 1
    telephony.settings(syncTokenSeconds=3600)


def test_both_sessions_of_a_warm_transfer_name_each_other(telephony):
    """The customer's call tells of the consultation; the consultation tells of nothing."""

    def related(call):
        state = telephony.entry(call)
        if state.manifest is None or state.status != "archived":
            return None
        return telephony.manifest(state)["related"]

    def addresses(call):
        return [str(an_id(call, account=RINGEX_ACCOUNT))]

    consultation = telephony.call(legs=TWO_LEGS[:1], emit=True)
    call = telephony.call(legs=TWO_LEGS[:1], emit=True, transferTarget=consultation)
    expected = (addresses(consultation), addresses(call))
    until(lambda: (related(call), related(consultation)) == expected)
