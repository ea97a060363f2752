"""Webhooks at Kazoo: planned for each account, carried out, and nobody else's touched."""

import pytest

from legato.errors import Barred, Failed, NotYet, Retry, Wait
from legato.hooks import Hooking, carry_out, plan_to_install, plan_to_remove
from legato.receive import KAZOO_TOKEN

ADDRESS = "https://abc.execute-api.eu-central-1.amazonaws.com/webhook/kazoo"
STRANGE = "https://crm.example.com/hooks"
TOKEN = "0123456789abcdef0123456789abcdef"


class FakeWebhooks:
    """Kazoo's: the list is a summary. `refusals` are raised once, by method and account."""

    def __init__(self, *, with_address=True):
        self.kept = {}
        self.log = []
        self.refusals = {}
        self.summary = ("id", "hook", "name", *(("uri", "enabled") if with_address else ()))

    def put(self, account, name, **changes):
        custom = {"type": "call_recording", "action": "all", "legato_token": TOKEN}
        hook = {
            "id": name,
            "name": "x",
            "hook": "object",
            "uri": ADDRESS,
            "http_verb": "post",
            "format": "json",
            "enabled": True,
            "custom_data": custom,
        }
        self.kept.setdefault(account, {})[name] = hook | changes

    def hooks(self, account):
        self._asked("hooks", account)
        listed = self.kept.get(account, {}).values()
        return [{k: v for k, v in hook.items() if k in self.summary} for hook in listed]

    def hook(self, account, hook):
        self._asked("hook", account)
        return self.kept[account][hook]

    def create_hook(self, account, hook):
        self._asked("create", account)
        name = f"new{len(self.log)}"
        self.kept.setdefault(account, {})[name] = {"id": name, **hook}
        self.log.append(("create", account, name))
        return self.kept[account][name]

    def delete_hook(self, account, hook):
        self._asked("delete", account)
        del self.kept[account][hook]
        self.log.append(("delete", account, hook))

    def _asked(self, method, account):
        if waiting := self.refusals.get((method, account)):
            raise waiting.pop(0)


class FakeSecret:
    def __init__(self, **value):
        self.value = value
        self.written = 0
        self.refusal = None

    def read(self):
        return dict(self.value)

    def write(self, value):
        if self.refusal:
            raise self.refusal
        self.value = value
        self.written += 1


class World:
    """One stack with its accounts."""

    def __init__(self, *accounts, webhooks=None, address=ADDRESS, kazoo="https://kazoo/v2"):
        self.webhooks = webhooks or FakeWebhooks()
        self.secret = FakeSecret(kazoo={"apiKey": "k"}, **{KAZOO_TOKEN: TOKEN})
        self.slept = []
        self.narrowed = ()
        self.accounts, self.address, self.kazoo = accounts or ("a1",), address, kazoo

    def hooking(self):
        return Hooking(
            webhooks=self.webhooks,
            secret=self.secret,
            sleep=self.slept.append,
            address=self.address,
            kazoo=self.kazoo,
            token_field="legato_token",
            accounts=self.accounts,
            narrowed=self.narrowed,
        )

    def install(self):
        return list(carry_out(self.hooking(), plan_to_install(self.hooking())))

    def remove(self):
        return list(carry_out(self.hooking(), plan_to_remove(self.hooking())))

    def plan(self):
        [plan] = plan_to_install(self.hooking())
        return plan


def test_an_account_without_one_gets_one():
    """It tells of every change of a recording's document, with our token, as JSON."""
    world = World()
    assert world.plan().creates
    [done] = world.install()
    [hook] = world.webhooks.kept["a1"].values()
    assert hook.pop("id") == done.created
    assert hook.pop("name")
    assert hook == {
        "uri": ADDRESS,
        "hook": "object",
        "http_verb": "post",
        "format": "json",
        "enabled": True,
        "custom_data": {"type": "call_recording", "action": "all", "legato_token": TOKEN},
    }


def test_what_is_as_it_should_be_is_left():
    """So the same command again changes nothing, and writes no secret."""
    world = World()
    world.install()
    before = dict(world.webhooks.kept["a1"])
    plan = world.plan()
    assert (plan.changes, plan.reasons) == (False, ("it is as it should be",))
    [done] = world.install()
    assert (done.created, done.removed, done.failed) == (None, [], None)
    assert world.webhooks.kept["a1"] == before
    assert world.secret.written == 0


@pytest.mark.parametrize("given", [{"format": "form-data"}, {"format": None}, {"retries": 4}])
def test_what_works_as_well_is_left(given):
    """Our webhook reads forms as well, and old versions of Kazoo know nothing else."""
    world = World()
    world.webhooks.put("a1", "h1", **given)
    assert not world.plan().changes


def test_kazoos_defaults_count_as_if_they_were_written():
    """Who leaves them out means them."""
    world = World()
    world.webhooks.put("a1", "h1")
    for name in ("enabled", "http_verb", "format"):
        del world.webhooks.kept["a1"]["h1"][name]
    assert not world.plan().changes


CUSTOM = {"type": "call_recording", "action": "all", "legato_token": TOKEN}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"enabled": False}, "it is disabled"),
        (
            {"enabled": False, "disable_reason": "6 attempts within 60s"},
            "Kazoo has disabled it: 6 attempts within 60s",
        ),
        ({"custom_data": CUSTOM | {"legato_token": "f" * 32}}, "it carries another token"),
        ({"custom_data": {}}, "it carries another token"),
        ({"custom_data": None}, "it carries another token"),
        ({"custom_data": CUSTOM | {"action": "doc_created"}}, "it has another custom_data"),
        ({"custom_data": CUSTOM | {"id": "1"}}, "it has another custom_data"),
        ({"hook": "channel_destroy", "http_verb": "get"}, "it has another hook, http_verb"),
        ({"include_subaccounts": True}, "it has another include_subaccounts"),
    ],
)
def test_one_of_ours_with_a_flaw_is_replaced(given, says):
    """The new one is made before the old one goes, and no token is said."""
    world = World()
    world.webhooks.put("a1", "h1", **given)
    plan = world.plan()
    assert (plan.creates, plan.removes, plan.reasons) == (True, ("h1",), (says,))
    [done] = world.install()
    assert world.webhooks.log == [("create", "a1", done.created), ("delete", "a1", "h1")]
    assert not world.plan().changes


def test_of_two_of_ours_the_right_one_is_kept():
    """Whichever it is."""
    world = World()
    world.webhooks.put("a1", "h1", enabled=False)
    world.webhooks.put("a1", "h2")
    world.webhooks.put("a1", "h3")
    plan = world.plan()
    assert (plan.creates, plan.removes) == (False, ("h1", "h3"))
    assert plan.reasons == ("it is disabled", "one is enough")
    [done] = world.install()
    assert done.removed == ["h1", "h3"]
    assert list(world.webhooks.kept["a1"]) == ["h2"]


@pytest.mark.parametrize("with_address", [True, False])
def test_a_webhook_to_another_address_is_nobody_elses_business(with_address):
    """Neither installing nor removing touches it, also if the list does not say where it leads."""
    world = World(webhooks=FakeWebhooks(with_address=with_address))
    world.webhooks.put("a1", "theirs", uri=STRANGE, enabled=False)
    world.webhooks.put("a1", "longer", uri=ADDRESS + "/2")
    world.webhooks.put("a1", "ours", enabled=False)
    world.install()
    assert {"theirs", "longer"} < set(world.webhooks.kept["a1"])
    assert len(world.webhooks.kept["a1"]) == 3
    world.remove()
    assert set(world.webhooks.kept["a1"]) == {"theirs", "longer"}


def test_one_that_vanishes_while_we_look_is_none():
    """Somebody else deleted it."""
    world = World()
    world.webhooks.put("a1", "h1")
    world.webhooks.refusals["hook", "a1"] = [NotYet("404")]
    assert world.plan().reasons == ("there is none yet",)


def test_removing_takes_all_of_ours_and_reads_no_secret():
    """Whatever state they are in."""
    world = World("a1", "a2")
    world.webhooks.put("a1", "h1")
    world.webhooks.put("a1", "h2", hook="channel_destroy")
    world.secret = None
    plans = plan_to_remove(world.hooking())
    assert [plan.removes for plan in plans] == [("h1", "h2"), ()]
    assert [done.removed for done in world.remove()] == [["h1", "h2"], []]
    assert world.webhooks.kept["a1"] == {}


def test_a_token_is_made_where_there_is_none():
    """It goes into the secret before a webhook carries it; other fields stay."""
    world = World("a1", "a2")
    world.webhooks.put("a1", "h1")
    del world.secret.value[KAZOO_TOKEN]
    plans = plan_to_install(world.hooking())
    assert [plan.creates for plan in plans] == [True, True]
    assert world.secret.written == 0
    world.install()
    token = world.secret.value[KAZOO_TOKEN]
    assert len(bytes.fromhex(token)) == 16
    assert world.secret.value == {"kazoo": {"apiKey": "k"}, KAZOO_TOKEN: token}
    assert world.secret.written == 1
    for account in world.accounts:
        [hook] = world.webhooks.kept[account].values()
        assert hook["custom_data"]["legato_token"] == token


def test_a_token_that_cannot_be_written_leaves_all_as_it_is():
    """No webhook may carry what nobody accepts."""
    world = World()
    world.secret.value = {KAZOO_TOKEN: ""}
    world.secret.refusal = Retry("the secret cannot be written")
    with pytest.raises(Retry, match="cannot be written"):
        world.install()
    assert world.webhooks.log == []


@pytest.mark.parametrize("method", ["hooks", "hook", "create", "delete"])
def test_an_account_that_fails_leaves_the_others_done(method):
    """Whether it fails when it is planned or when it is carried out."""
    world = World("a1", "a2", "a3")
    for account in world.accounts:
        world.webhooks.put(account, "h1", enabled=False)
    refusal = Barred("403 forbidden", seconds=900)
    world.webhooks.refusals[method, "a2"] = [refusal]
    first, second, third = world.install()
    assert second.failed is refusal
    assert "h1" in world.webhooks.kept["a2"]
    assert [one.removed for one in (first, second, third)] == [["h1"], [], ["h1"]]
    assert world.install()[1].failed is None
    assert len(world.webhooks.kept["a2"]) == 1


def test_a_short_wait_for_the_gate_is_waited():
    """A command that was begun is not given up because of seconds."""
    world = World()
    world.webhooks.refusals["hooks", "a1"] = [Wait("not our turn", seconds=4)]
    world.webhooks.refusals["create", "a1"] = [Wait("429", seconds=10)]
    [plan] = plan_to_install(world.hooking())
    assert plan.failed is None
    [done] = carry_out(world.hooking(), [plan])
    assert done.created is not None
    assert world.slept == [4, 10]


@pytest.mark.parametrize(
    "refusals",
    [
        [Wait("x", seconds=600)],
        [Wait("x", seconds=1) for _ in range(9)],
        [Barred("x", seconds=1)],
    ],
)
def test_waits_have_an_end(refusals):
    """Neither too long a one nor too many, nor one that only a person can end."""
    world = World()
    world.webhooks.refusals["hooks", "a1"] = refusals
    [plan] = plan_to_install(world.hooking())
    assert isinstance(plan.failed, Wait)
    assert sum(world.slept) < 60


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.com/webhook/kazoo",
        "https://localhost/webhook/kazoo",
        "https://10.0.0.1/webhook/kazoo",
        "https://legato/webhook/kazoo",
        "",
    ],
)
def test_an_address_that_kazoo_cannot_reach_is_refused(address):
    """Before anything is asked; what is there can be removed all the same."""
    world = World(address=address)
    world.webhooks.refusals["hooks", "a1"] = [Failed("it was asked")]
    with pytest.raises(Failed, match=r"^Kazoo cannot reach .*public https"):
        plan_to_install(world.hooking())
    [plan] = plan_to_remove(world.hooking())
    assert str(plan.failed) == "it was asked"


def test_a_kazoo_on_this_machine_reaches_this_machine():
    """As the local system's does."""
    world = World(address="http://127.0.0.1:4600/webhook/kazoo", kazoo="http://127.0.0.1:4605/v2")
    world.install()
    assert len(world.webhooks.kept["a1"]) == 1
