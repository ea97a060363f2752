"""The lists of recordings: what is in which range, page after page, over the end of a month."""

import re

import pytest

from local.simulators.kazoo.gregorian import gregorian
from tests.integration.simulators.kazoo_driver import FIRST, SECOND, at, driving

MIDNIGHT = at("2026-11-01T00:00:00")
USER = "0a" * 16


@pytest.fixture
def kazoo():
    with driving() as driver:
        yield driver


def ago(kazoo, seconds, **recording):
    """Place a recording that ended so long ago; return its id."""
    return kazoo.one(start=kazoo.clock.ago(seconds + 10), **recording)


def test_a_document_has_what_the_schema_says(kazoo):
    """Times in Gregorian seconds, the kind of media with or without its dot."""
    name = kazoo.one(duration=12.5, format="wav", direction="outbound")
    [found] = kazoo.page()["data"]
    assert found["id"] == name
    assert name.startswith("202610-")
    assert found["start"] == gregorian(kazoo.clock.now) - 12
    assert (found["duration"], found["duration_ms"]) == (12, 12_500)
    assert (found["content_type"], found["media_type"]) == ("audio/x-wav", "wav")
    assert re.fullmatch(r"\d{11}-[0-9a-f]{8}", found["interaction_id"])
    assert found["custom_channel_vars"]["Call-Interaction-ID"] == found["interaction_id"]
    assert found["direction"] == "outbound"
    kazoo.control("settings", {"version": "master"})
    kazoo.control("reset")
    kazoo.place(5)
    [found] = kazoo.page()["data"]
    assert (found["media_type"], found["source_type"]) == (".mp3", "media_recording")


def test_a_document_may_lack_anything(kazoo):
    """No field is required, and a recording need not belong to an interaction."""
    kazoo.one(omit=["start", "direction", "content_type"], hasInteraction=False)
    [found] = kazoo.page()["data"]
    assert not found.keys() & {"start", "direction", "content_type", "interaction_id"}
    assert "Call-Interaction-ID" not in found["custom_channel_vars"]


def test_the_list_says_when_there_is_audio(kazoo):
    """The document comes first, without a content type."""
    kazoo.place(10, readyAfter=60)
    assert kazoo.page()["data"][0]["_read_only"] == {"content_types": []}
    kazoo.clock.now += 60
    assert kazoo.page()["data"][0]["_read_only"] == {"content_types": ["audio/mpeg"]}


def test_a_recording_is_listed_when_it_was_saved(kazoo):
    """Not while it is being made, and by the time after it stopped, not by its start."""
    start = kazoo.clock.now
    name = kazoo.one(start=kazoo.clock.ago(0), duration=600, savedAfter=5)
    kazoo.clock.now += 604
    assert kazoo.listed() == []
    kazoo.clock.now += 1
    assert kazoo.listed() == [name]
    assert kazoo.between(start, start + 604) == []
    assert kazoo.between(start + 605, start + 605) == [name]


def test_newest_first_unless_asked_otherwise(kazoo):
    """In two spellings."""
    names = [ago(kazoo, seconds) for seconds in (300, 200, 100)]
    assert kazoo.listed() == names[::-1]
    assert kazoo.listed(ascending="true") == names
    assert kazoo.listed(descending="false") == names


def test_both_ends_of_a_range_are_in_it(kazoo):
    """To the second."""
    names = [ago(kazoo, seconds) for seconds in (300, 200, 100)]
    now = kazoo.clock.now
    assert kazoo.between(now - 300, now - 100) == names
    assert kazoo.between(now - 299, now - 101) == names[1:2]


def test_a_range_has_a_default_and_a_limit(kazoo):
    """31 days and an hour, back from now, or from `created_to`."""
    now = gregorian(kazoo.clock.now)
    name = ago(kazoo, 2_682_000)
    ago(kazoo, 2_682_001)
    assert kazoo.listed() == [name]
    assert kazoo.listed(created_from="whenever") == [name]
    refused = kazoo.ask("recordings", params={"created_from": now - 2_682_001})
    assert refused.status_code == 400
    found = refused.json()["data"]["created_from"]["date_range"]
    assert "is more than 2682000 seconds from" in found["message"]
    assert found["cause"] == now
    refused = kazoo.ask("recordings", params={"created_from": now, "created_to": now - 1})
    assert "is prior to" in refused.json()["data"]["created_from"]["date_range"]["message"]


@pytest.mark.parametrize("ascending", ["true", "false"])
def test_pages_follow_each_other_by_a_key(kazoo, ascending):
    """Fifty to a page, each recording on one of them; the last page names no other."""
    names = [ago(kazoo, 1000 - n // 3) for n in range(120)]
    shown, sizes, more = [], [], {}
    while True:
        page = kazoo.page(ascending=ascending, **more)
        shown += [each["id"] for each in page["data"]]
        sizes.append(page["page_size"])
        assert not more or page["start_key"] == more["start_key"]
        if "next_start_key" not in page:
            break
        more = {"start_key": page["next_start_key"]}
    assert sizes == [50, 50, 20]
    assert sorted(shown) == sorted(names)
    assert len(kazoo.page(page_size=7)["data"]) == 7
    assert len(kazoo.page(page_size=120)["data"]) == 120
    assert "next_start_key" not in kazoo.page(page_size=120)
    assert kazoo.page(paginate="false")["page_size"] == 120


@pytest.mark.parametrize("query", [{"page_size": 0}, {"page_size": "x"}, {"start_key": "x"}])
def test_a_page_that_cannot_be_is_refused(kazoo, query):
    """With 404, of all things."""
    refused = kazoo.ask("recordings", params=query)
    assert (refused.status_code, refused.json()["message"]) == (404, "faulty_request")


def test_accounts_and_users_have_lists_of_their_own(kazoo):
    """A user's is below the account's."""
    name, other = kazoo.one(userId=USER), kazoo.one()
    [second] = kazoo.place(5, accountId=SECOND)["recordingIds"]
    assert sorted(kazoo.listed()) == sorted([name, other])
    assert kazoo.listed(account=SECOND) == [second]
    assert kazoo.listed(path=f"users/{USER}/recordings") == [name]


def test_a_reseller_sees_the_accounts_below(kazoo):
    """In pages, as everything else; another account has none below it."""
    kazoo.control("settings", {"accounts": [FIRST, SECOND, "a" * 32, "b" * 32]})
    names = sorted(["a" * 32, "b" * 32, SECOND])
    listed = kazoo.ask("descendants").json()["data"]
    assert [(each["id"], each["tree"]) for each in listed] == [(name, [FIRST]) for name in names]
    page = kazoo.ask("descendants", params={"page_size": 2}).json()
    more = {"page_size": 2, "start_key": page["next_start_key"]}
    shown = page["data"] + kazoo.ask("descendants", params=more).json()["data"]
    assert [each["id"] for each in shown] == names
    assert kazoo.ask("descendants", account=SECOND).json()["data"] == []


def test_filters_look_at_fields(kazoo):
    """All of them must fit, also inside of objects."""
    inbound, outbound = kazoo.one(), kazoo.one(direction="outbound", userId=USER)
    assert kazoo.listed(filter_direction="inbound") == [inbound]
    assert kazoo.listed(filter_not_direction="inbound") == [outbound]
    assert kazoo.listed(**{"filter_custom_channel_vars.Owner-ID": USER}) == [outbound]
    assert kazoo.listed(filter_owner_id=USER, filter_direction="inbound") == []
    assert kazoo.listed(filter_duration="10", filter_owner_id=USER) == [outbound]


def test_older_months_are_gone():
    """Seven databases of months are there: this one's and six before it."""
    with driving(now=at("2026-11-20T12:00:00")) as kazoo:
        kept = kazoo.one(start="2026-05-01T00:00:00Z")
        gone = kazoo.one(start="2026-04-30T20:00:00Z")
        assert kazoo.between(at("2026-04-20T00:00:00"), at("2026-05-10T00:00:00")) == [kept]
        assert kazoo.audio(kept).status_code == 200
        assert kazoo.audio(gone).status_code == 404


def across(kazoo, **recording):
    """Place a recording that a month ends in; return its id."""
    order = {"start": "2026-10-31T23:50:00Z", "duration": 1200}
    return kazoo.one(**order | recording)


def test_in_4_3_a_month_hides_what_began_before_it():
    """It is in the database of October, though it was saved in November; it can be read."""
    with driving(now=MIDNIGHT + 7200) as kazoo:
        name = across(kazoo)
        assert name.startswith("202610-")
        assert kazoo.between(MIDNIGHT, MIDNIGHT + 7200) == []
        assert kazoo.between(MIDNIGHT - 1, MIDNIGHT + 7200) == [name]
        assert kazoo.between(MIDNIGHT - 3600, MIDNIGHT + 599) == []
        assert kazoo.audio(name).status_code == 200


def test_in_master_a_month_shows_what_it_cannot_read():
    """It is in the database of November, where its id does not lead."""
    with driving(now=MIDNIGHT + 7200, version="master") as kazoo:
        name, other = across(kazoo), across(kazoo, duration=60)
        assert name.startswith("202610-")
        assert kazoo.between(MIDNIGHT, MIDNIGHT + 7200) == [name]
        refused = kazoo.ask(f"recordings/{name}")
        assert (refused.status_code, refused.json()["data"]["cause"]) == (404, name)
        assert kazoo.audio(name).status_code == 404
        assert kazoo.ask(f"recordings/{name}", "DELETE").status_code == 404
        assert kazoo.audio(other).status_code == 200


def test_a_page_that_ends_behind_a_month_skips_what_the_next_has_before_it():
    """Each page begins all databases at one key, and the old one reaches into the new month."""
    with driving(now=MIDNIGHT + 7200) as kazoo:
        early = kazoo.one(start="2026-11-01T00:00:10Z")
        late = [across(kazoo, duration=seconds) for seconds in (1200, 1300)]
        times = {
            "created_from": gregorian(MIDNIGHT - 3600),
            "created_to": gregorian(MIDNIGHT + 7200),
            "ascending": "true",
        }
        assert kazoo.listed(**times) == [*late, early]
        page = kazoo.page(page_size=1, **times)
        assert [each["id"] for each in page["data"]] == late[:1]
        assert kazoo.listed(start_key=page["next_start_key"], **times) == late[1:]


def test_three_thousand_recordings_are_paged_in_no_time(kazoo):
    """By a client that takes two hundred at once."""
    for n in range(30):
        order = [{"duration": 10, "start": kazoo.clock.ago(n * 100 + m)} for m in range(100)]
        kazoo.place(recordings=order)
    kazoo.clock.now += 60
    shown, more = set(), {}
    while True:
        page = kazoo.page(ascending="true", page_size=200, **more)
        shown |= {each["id"] for each in page["data"]}
        if "next_start_key" not in page:
            break
        more = {"start_key": page["next_start_key"]}
    assert len(shown) == 3000
    assert kazoo.stats()["requests"]["recordings"] == {"200": 15}


def test_pages_can_go_on_for_ever(kazoo):
    """Each names a next one, which is another one, long after the last document."""
    names = [ago(kazoo, 60 + n) for n in range(3)]
    kazoo.break_next(kind="endless", route="recordings")
    query, keys, seen = {"page_size": 2}, set(), []

    for _ in range(6):
        page = kazoo.page(**query)
        query["start_key"] = page["next_start_key"]
        keys.add(page["next_start_key"])
        seen += [each["id"] for each in page["data"]]

    assert len(keys) == 6
    assert seen == names
