"""What is decided, what differs from what is there, and what samconfig.toml says then."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from legato.errors import Failed, Refused
from legato.setup import samconfig
from legato.setup.choices import CHOICES, Decided, given, present, providers_of, variable
from legato.setup.deploy import Checkout, SamDeployer, find_checkout
from legato.setup.plan import plan

RINGEX = {"ringex.client_id": "app", "ringex.client_secret": "s3cret", "ringex.jwt": "a.b.c"}
KAZOO = {
    "kazoo.url": "https://kazoo.example.com:8443/v2",
    "kazoo.api_key": "k" * 64,
    "kazoo.accounts": "5a2d/*",
}


def decided(*providers, **more):
    return Decided(providers=providers, values={**RINGEX, **KAZOO, **more})


def planned(what, *, parameters=None, secret=None, configured=None):
    return plan(what, parameters=parameters, secret=secret or {}, configured=configured or {})


def running(what):
    """Return the parameters and the secret of a stack that was deployed so."""
    first = planned(what)
    return first.parameters, first.secret


class TestChoices:
    def test_providers_that_are_not_used_are_switched_off(self):
        said = decided("kazoo").parameters()
        assert (said["UseRingex"], said["RingcxSubAccountIds"]) == ("false", "")
        assert said["KazooUrl"] == KAZOO["kazoo.url"]
        assert decided("ringex").parameters()["KazooUrl"] == ""

    def test_all_that_is_missing_is_named_at_once(self):
        found = Decided(providers=("ringex", "kazoo"), values={}).problems()
        missing = {line.partition(":")[0] for line in found}
        assert missing == {*RINGEX, *KAZOO}

    def test_a_user_of_kazoo_stands_for_an_api_key(self):
        user = {"kazoo.username": "u", "kazoo.password": "p", "kazoo.account_name": "a"}
        what = Decided(providers=("kazoo",), values={**KAZOO, "kazoo.api_key": "", **user})
        assert what.problems() == []
        assert what.secret_of("kazoo") == {"username": "u", "password": "p", "accountName": "a"}

    def test_compliance_takes_the_words_that_confirm_it(self):
        problems = decided("ringex", retention="COMPLIANCE").problems()
        assert [line.partition(":")[0] for line in problems] == ["compliance_confirmation"]
        words = "nobody-can-remove-anything-early"
        confirmed = decided("ringex", retention="COMPLIANCE", compliance_confirmation=words)
        assert confirmed.problems() == []
        assert confirmed.parameters()["ComplianceConfirmation"] == words

    def test_a_secret_is_never_repeated(self):
        for choice in CHOICES.values():
            if choice.hidden and choice.pattern != ".+":
                assert "two words" not in choice.problem("two words")

    def test_what_a_stack_says_is_what_was_decided(self):
        what = decided("ringex", "kazoo", alarm_email="who@example.com", access_reason="required")
        again = present(*running(what))
        assert again.providers == what.providers
        assert again.parameters() == what.parameters()
        assert again.secret_of("ringex") == what.secret_of("ringex")

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            ({"ringo": {}}, "unknown names: ringo"),
            ({"kazoo": {"key": "x"}}, "unknown names: kazoo.key"),
            ({"providers": "ringex"}, "providers must be a list"),
            ({"providers": ["ringo"]}, "'ringo' is not one of"),
            ({"retention": "FOREVER"}, "retention: Retention must be one of"),
            ({"retention": True}, "retention: Retention must be one of"),
            ([1], "must hold a table"),
        ],
    )
    def test_a_file_with_anything_else_is_refused(self, document, said):
        with pytest.raises(Refused, match=said):
            given(document)

    def test_a_file_names_providers_by_their_tables(self):
        providers, values = given({"kazoo": {"url": "https://k/v2", "accounts": ["a", "b/*"]}})
        assert providers == ("kazoo",)
        assert values == {"kazoo.url": "https://k/v2", "kazoo.accounts": "a,b/*"}

    def test_providers_are_read_in_any_notation(self):
        assert providers_of(" Kazoo,ringex  ringex") == ("ringex", "kazoo")

    def test_a_secret_has_a_name_in_the_environment(self):
        assert variable(CHOICES["kazoo.api_key"]) == "LEGATO_KAZOO_API_KEY"


class TestPlan:
    def test_a_new_stack_gets_everything(self):
        made = planned(decided("ringex"))
        assert made.creates
        assert made.deploys
        assert set(made.secrets) == {"ringex.clientId", "ringex.clientSecret", "ringex.jwt"}

    def test_the_same_again_changes_nothing(self):
        parameters, secret = running(decided("ringex", "kazoo"))
        made = planned(decided("ringex", "kazoo"), parameters=parameters, secret=secret)
        assert (made.deploys, made.changes, made.secrets) == (False, (), ())

    def test_only_what_differs_is_a_change(self):
        parameters, secret = running(decided("ringex"))
        made = planned(
            decided("ringex", alarm_email="who@example.com"), parameters=parameters, secret=secret
        )
        [change] = made.changes
        assert (change.name, change.before, change.after) == ("AlarmEmail", "", "who@example.com")

    def test_a_new_secret_alone_deploys_nothing(self):
        parameters, secret = running(decided("ringex"))
        made = planned(
            decided("ringex", **{"ringex.jwt": "d.e.f"}), parameters=parameters, secret=secret
        )
        assert not made.deploys
        assert made.secrets == ("ringex.jwt",)

    def test_what_others_wrote_into_the_secret_stays(self):
        secret = {"other": 1, "ringcx": {"jwt": "x"}, "ringex": {"jwt": "old", "note": "mine"}}
        made = planned(decided("ringex"), secret=secret)
        assert made.secret["other"] == 1
        assert made.secret["ringcx"] == {"jwt": "x"}
        assert made.secret["ringex"]["note"] == "mine"
        assert made.secret["ringex"]["jwt"] == "a.b.c"

    def test_what_samconfig_says_besides_is_deployed_too(self):
        parameters, secret = running(decided("ringex"))
        made = planned(
            decided("ringex"),
            parameters={**parameters, "LogLevel": "INFO"},
            secret=secret,
            configured={"LogLevel": "DEBUG", "AlarmEmail": "old@example.com"},
        )
        assert [(one.name, one.after) for one in made.changes] == [("LogLevel", "DEBUG")]

    def test_a_plan_that_is_shown_holds_no_secret(self):
        shown = str(planned(decided("ringex", "kazoo")).to_json())
        assert not any(RINGEX[name] in shown for name in ("ringex.client_secret", "ringex.jwt"))
        assert KAZOO["kazoo.api_key"] not in shown


class TestSamconfig:
    VALUES: ClassVar = {"A": "plain", "B": "", "C": 'say "x" y', "T": '{"RingcxSweepHours": 48}'}

    def test_sam_reads_what_was_written(self, tmp_path):
        from samcli.cli.types import CfnParameterOverridesType
        from samcli.lib.config.samconfig import SamConfig

        samconfig.write(tmp_path / "samconfig.toml", stack="s", region="r", parameters=self.VALUES)
        said = SamConfig(str(tmp_path)).get_all(["deploy"], "parameters")
        assert (said["stack_name"], said["region"]) == ("s", "r")
        read = CfnParameterOverridesType().convert(said["parameter_overrides"], None, None)
        assert read == self.VALUES

    def test_it_reads_what_it_wrote(self, tmp_path):
        file = tmp_path / "samconfig.toml"
        samconfig.write(file, stack="s", region="r", parameters=self.VALUES)
        assert samconfig.overrides(file) == self.VALUES

    def test_it_reads_what_sam_writes_when_it_is_guided(self, tmp_path):
        file = tmp_path / "samconfig.toml"
        said = 'A=\\"x y\\" B=\\"\\" C=1'
        file.write_text(f'[default.deploy.parameters]\nparameter_overrides = "{said}"\n')
        assert samconfig.overrides(file) == {"A": "x y", "B": "", "C": "1"}

    def test_comments_and_other_settings_stay(self, tmp_path):
        file = tmp_path / "samconfig.toml"
        before = "# mine\nversion = 0.1\n\n[default.deploy.parameters]\nresolve_s3 = true # yes\n"
        file.write_text(before)
        samconfig.write(file, stack="s", region="r", parameters={"A": "1"})
        assert file.read_text().startswith(before)

    def test_a_file_that_is_none_is_left_alone(self, tmp_path):
        file = tmp_path / "samconfig.toml"
        file.write_text("not = toml = at all")
        with pytest.raises(Refused, match=r"is no TOML"):
            samconfig.write(file, stack="s", region="r", parameters={})
        assert file.read_text() == "not = toml = at all"


class TestDeployer:
    @pytest.fixture
    def checkout(self, tmp_path):
        (tmp_path / "layers" / "shared" / "legato").mkdir(parents=True)
        (tmp_path / "template.yaml").write_text("Parameters:\n  A:\n    Default: x\nResources:\n")
        return Checkout(tmp_path)

    def deployer(self, checkout, commands, code=0):
        def run(command, _folder):
            commands.append(list(command))
            return code

        return SamDeployer(
            checkout=checkout,
            stack="legato",
            region="eu-central-1",
            profile="work",
            invoke=lambda event: event,
            run=run,
        )

    def test_it_builds_and_deploys_the_stack_of_its_name(self, checkout):
        commands = []
        self.deployer(checkout, commands).deploy({"A": "1"})
        assert commands[0] == ["make", "build"]
        assert commands[1][:2] == ["sam", "deploy"]
        assert commands[1][-6:] == [
            *("--stack-name", "legato", "--region", "eu-central-1"),
            *("--profile", "work"),
        ]
        assert samconfig.overrides(checkout.samconfig) == {"A": "1"}

    def test_what_is_built_already_is_deployed(self, checkout):
        built = checkout.path / ".aws-sam" / "build"
        built.mkdir(parents=True)
        (built / "template.yaml").write_text("")
        commands = []
        self.deployer(checkout, commands).deploy({})
        assert [command[1] for command in commands] == ["deploy"]

    def test_a_deployment_that_fails_says_how_to_go_on(self, checkout):
        with pytest.raises(Failed, match=r"`make build` ended with 2.*run the same command again"):
            self.deployer(checkout, [], code=2).deploy({})

    def test_settings_of_another_stack_are_not_taken(self, checkout):
        samconfig.write(checkout.samconfig, stack="other", region="r", parameters={"A": "1"})
        assert self.deployer(checkout, []).configured() == {}

    def test_the_templates_parameters_are_read_as_sam_reads_them(self):
        from local.template import read

        checkout = find_checkout(Path.cwd())
        known = {name: str(one["Default"]) for name, one in read()["Parameters"].items()}
        assert checkout.parameters() == known
