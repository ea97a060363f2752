"""Every rule of the template that a program can check."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from legato import __version__
from legato.cli.app import legato
from legato.discovery.subscription import HOLD
from legato.ingest.batch import MOST_RECEIVES
from legato.operations.health import NOTE
from legato.settings import names_of
from legato.tuning import Tuning
from local.template import broken_rules, routes
from tests.template.conftest import every_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.template.conftest import Json, Template

ROOT = Path(__file__).parent.parent.parent
STATEFUL = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::SecretsManager::Secret",
    "AWS::KMS::Key",
}
# A physical name keeps a second stack out of the account.
NAME_PROPERTIES = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::Logs::MetricFilter": "FilterName",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Serverless::HttpApi": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::SSM::Parameter": "Name",
}
UNNAMED = {
    "AWS::KMS::Key",
    "AWS::IAM::Policy",  # it is part of its role
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::TopicPolicy",
    "Custom::Configuration",
    "Custom::RingexSubscription",
    "AWS::Serverless::LayerVersion",  # SAM names it itself, unless it is told a name
}
MOST_METRICS = 10
"""Of an alarm.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
"""
# An S3 object's ARN ends in its key, so a prefix is the least that is. Kazoo's storage plan chooses
# its keys itself, and the auditor reads all evidence.
OBJECTS = [
    {"Fn::Sub": "${ArchiveBucket.Arn}/*"},
    {"Fn::Sub": "${ArchiveBucket.Arn}/digests/*"},
    {"Fn::Sub": "${ArchiveBucket.Arn}/holds/*"},
    {"Fn::Sub": "${ArchiveBucket.Arn}/access/*"},
    {"Fn::Sub": "${ArchiveBucket.Arn}/reports/*"},
    {"Fn::Sub": "${ArchiveBucket.Arn}/calls/*"},
    {"Fn::Sub": "${ArchiveBucket.Arn}/refused/*"},
    {"Fn::Sub": "${ArchiveBucket.Arn}/ledger/*"},
    {"Fn::Sub": "${InboxBucket.Arn}/push/*"},
    {"Fn::Sub": "${InboxBucket.Arn}/*"},
]
STATEMENT = r" {10}(  )?- "
"""How a statement begins in a managed policy, or in a function's block."""
OF_FUNCTIONS = ("AWS::Serverless::Function", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
"""Where what functions are allowed is written. Other policies speak of whoever asks."""
CONFIRMED = "nobody-can-remove-anything-early"
TLS_ONLY = {"Bool": {"aws:SecureTransport": "false"}}


def mentions(value: Any, logical: str) -> bool:
    """Say whether a structure refers to a resource, a parameter or a condition."""
    pattern = re.compile(rf"^{logical}(\.\w+)?$|\$\{{{logical}(\.\w+)?\}}")
    return any(pattern.search(text) for text in every_string(value))


def referred(value: Json) -> str:
    """Return the logical id that a Ref or a GetAtt, in either of its forms, points to."""
    target = value.get("Ref") or value["Fn::GetAtt"]
    first: str = (target.split(".") if isinstance(target, str) else target)[0]
    return first


def grants(sam: Template) -> list[tuple[str, Json]]:
    """Return what each function is allowed, one action on one resource at a time."""
    return [
        (logical, {**statement, "Action": action, "Resource": resource})
        for logical, statement in statements(sam)
        if statement["Effect"] == "Allow"
        for _, action in actions(statement)
        for resource in listed(statement["Resource"])
    ]


def statements(sam: Template) -> list[tuple[str, Json]]:
    """Return every statement of the functions' policies, looking through conditions."""
    found = []
    for logical, properties in sam.functions.items():
        for policy in properties["Policies"]:
            assert isinstance(policy, dict), f"{logical} has AWS's own policy {policy}"
            found += [(logical, each) for each in every_statement(document(sam, policy))]
    return found


def document(sam: Template, policy: Json) -> Json:
    """Return a policy that stands in a function's block, or that the block refers to."""
    policy = policy["Fn::If"][1] if "Fn::If" in policy else policy
    if "Ref" not in policy:
        return policy
    shared: Json = sam.of("AWS::IAM::ManagedPolicy")[policy["Ref"]]["PolicyDocument"]
    return shared


def every_statement(policy: Json) -> list[Json]:
    """Return the statements of a policy document, looking through conditions."""
    found = []
    for statement in policy["Statement"]:
        branches = statement["Fn::If"][1:] if "Fn::If" in statement else [statement]
        found += [each for each in branches if "Effect" in each]
    return found


def actions(statement: Json) -> list[tuple[str, str]]:
    """Return the actions of a statement, each with the condition under which it is there."""
    found = []
    for action in listed(statement["Action"]):
        condition, one, _ = ("", action, None) if isinstance(action, str) else action["Fn::If"]
        found.append((condition, one))
    return found


def reasons(sam: Template) -> Iterator[tuple[str, str]]:
    """Yield each line of the functions' policies, with the comment beside it or above it.

    A comment above holds to the end of its statement.
    """
    ours, above, commented = False, "", False
    for line in (ROOT / "template.yaml").read_text().splitlines():
        if entry := re.match(r"  (\w+):$", line):
            kind = sam.source["Resources"].get(entry[1], {}).get("Type", "")
            ours = kind in OF_FUNCTIONS and entry[1] != "InboxWriterPolicy"
        if alone := re.match(r" *# (.*)", line):
            above = f"{above} {alone[1]}" if commented else alone[1]
        elif re.match(STATEMENT, line) and not commented:
            above = ""
        commented = bool(alone)
        if ours and not alone:
            yield line, line.partition(" # ")[2] or above


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def watched_by(alarm: Json) -> list[tuple[str, Json]]:
    """Return the metrics of an alarm, each with the condition under which it is watched."""
    found = []
    for entry in alarm["Metrics"]:
        condition, one, _ = entry.get("Fn::If", ("", entry, None))
        if "MetricStat" in one:
            found.append((condition, one["MetricStat"]["Metric"]))
    return found


def with_condition(sam: Template, logical: str, condition: str) -> None:
    """Check that whatever names a resource, or is named after it, is there only if it is."""
    for section in ("Resources", "Outputs"):
        for name, entry in sam.source[section].items():
            if name == "FunctionErrorsAlarm":
                conditions = {
                    each: referred(metric["Dimensions"][0]["Value"])
                    for each, metric in watched_by(entry["Properties"])
                    if each
                }
                assert conditions.get(condition) in (logical, None), name
            elif mentions(entry, logical):
                assert entry["Condition"] == condition, name
    assert sam.source["Resources"][logical]["Condition"] == condition


def denial(sam: Template, name: str) -> Json:
    """Return what the archive's policy refuses everybody."""
    policy = sam.of("AWS::S3::BucketPolicy")["ArchiveBucketPolicy"]["PolicyDocument"]
    (rule,) = [each for each in every_statement(policy) if each["Sid"] == name]
    assert (rule["Effect"], rule["Principal"]) == ("Deny", "*")
    return rule


class TestShape:
    def test_sections_come_in_the_order_a_reader_expects(self) -> None:
        text = (ROOT / "template.yaml").read_text()
        assert re.findall(r"^(\w+):", text, re.MULTILINE) == [
            "AWSTemplateFormatVersion",
            "Transform",
            "Description",
            "Metadata",
            "Parameters",
            "Rules",
            "Mappings",
            "Conditions",
            "Globals",
            "Resources",
            "Outputs",
        ]

    def test_nothing_has_a_physical_name(self, sam: Template) -> None:
        for logical, resource in sam.source["Resources"].items():
            kind = resource["Type"]
            if kind not in UNNAMED and logical != "InboxBucket":
                assert NAME_PROPERTIES[kind] not in resource.get("Properties", {}), logical

    def test_the_inboxs_name_is_its_stacks_alone(self, sam: Template) -> None:
        """The queue's policy has to know it before it is there."""
        name = sam.of("AWS::S3::Bucket")["InboxBucket"]["BucketName"]["Fn::Sub"][1]
        assert name == {"Guid": {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}}

    def test_a_functions_block_repeats_nothing_of_the_globals(self, sam: Template) -> None:
        common = sam.source["Globals"]["Function"]
        for logical, properties in sam.functions.items():
            for name in properties.keys() & common.keys():
                assert properties[name] != common[name], f"{logical}.{name}"

    def test_whatever_a_check_is_told_to_skip_has_its_reason(self) -> None:
        lines = (ROOT / ".checkov.yaml").read_text().splitlines()
        skipped = [number for number, line in enumerate(lines) if re.match(r"  - CKV_", line)]
        assert skipped
        for number in skipped:
            assert lines[number - 1].startswith("  # "), lines[number]

    def test_every_output_says_what_it_is(self, sam: Template) -> None:
        assert all(output["Description"] for output in sam.source["Outputs"].values())

    def test_every_condition_is_used(self, sam: Template) -> None:
        for condition in sam.source["Conditions"]:
            assert mentions(sam.source["Resources"], condition), condition

    def test_samconfig_deploys_one_stack_which_the_command_takes_by_itself(self) -> None:
        """And with the template's own values, until `legato setup` writes others."""
        config = tomllib.loads((ROOT / "samconfig.toml").read_text())
        assert config.keys() == {"version", "default"}
        said = config["default"]["deploy"]["parameters"]
        assert said["stack_name"] == inspect.signature(legato).parameters["stack"].default
        assert "parameter_overrides" not in said

    def test_the_stack_says_its_version(self, sam: Template) -> None:
        assert sam.source["Outputs"]["LegatoVersion"]["Value"] == __version__


class TestParameters:
    def test_every_parameter_is_described_limited_and_used(self, sam: Template) -> None:
        used = {key: sam.source[key] for key in ("Rules", "Conditions", "Globals", "Resources")}
        for name, parameter in sam.source["Parameters"].items():
            assert parameter["Description"], name
            assert "Default" in parameter, name
            limits = {"AllowedValues", "AllowedPattern", "MinValue"} & parameter.keys()
            assert limits, f"{name} accepts anything"
            assert ("MinValue" in parameter) == ("MaxValue" in parameter), name
            assert mentions(used, name), f"{name} is not used"

    def test_every_parameter_stands_in_one_group(self, sam: Template) -> None:
        interface = sam.source["Metadata"]["AWS::CloudFormation::Interface"]
        grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
        assert sorted(grouped) == sorted(sam.source["Parameters"])

    def test_every_default_is_allowed(self, sam: Template) -> None:
        for name, parameter in sam.source["Parameters"].items():
            default = parameter["Default"]
            if "AllowedPattern" in parameter:
                assert re.search(parameter["AllowedPattern"], default), name
            if "MinValue" in parameter:
                assert parameter["MinValue"] <= default <= parameter["MaxValue"], name
            if "AllowedValues" in parameter:
                assert default in parameter["AllowedValues"], name

    @pytest.mark.attacks("puts a host of his own behind credentials in an address of the stack")
    def test_no_address_takes_credentials(self, sam: Template) -> None:
        for name, parameter in sam.source["Parameters"].items():
            if name.endswith("Url"):
                allowed = parameter["AllowedPattern"]
                assert re.search(allowed, "https://pbx.example.com:8443"), name
                assert not re.search(allowed, "https://pbx.example.com@evil.example"), name

    def test_a_named_recording_is_waited_for_24_hours(self) -> None:
        tuning = Tuning()
        for ladder in (
            tuning.ringex_named_ladder_seconds,
            tuning.ringcx_ladder_seconds,
            tuning.kazoo_ladder_seconds,
        ):
            assert sum(ladder) == 24 * 60 * 60


class TestWhatMustNotBeLost:
    def test_stateful_resources_outlive_the_stack(self, sam: Template) -> None:
        """But not the deployment that creates them, if it fails, unless they cannot be deleted."""
        found = 0
        for logical, resource in sam.source["Resources"].items():
            if resource["Type"] in STATEFUL:
                found += 1
                protected = resource["Properties"].get("DeletionProtectionEnabled")
                kept = "Retain" if protected else "RetainExceptOnCreate"
                assert resource["DeletionPolicy"] == kept, logical
                assert resource["UpdateReplacePolicy"] == "Retain", logical
        assert found == 6

    def test_the_archive_can_be_locked_and_keeps_every_version(self, sam: Template) -> None:
        buckets = sam.of("AWS::S3::Bucket")
        assert buckets["ArchiveBucket"]["ObjectLockEnabled"] is True
        for bucket in buckets.values():
            assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}

    def test_no_evidence_is_written_without_a_condition(self, sam: Template) -> None:
        """Only S3 itself enforces a bucket's policy, so these are tested as they are written."""
        rule = denial(sam, "NoOverwrite")
        assert rule["Action"] == "s3:PutObject"
        assert rule["Resource"] == [
            {"Fn::Sub": f"${{ArchiveBucket.Arn}}/{folder}/*"}
            for folder in ("access", "calls", "digests", "holds", "refused", "reports")
        ]
        assert rule["Condition"] == {
            "Null": {"s3:if-none-match": "true"},
            "Bool": {"s3:ObjectCreationOperation": "true"},
        }

    @pytest.mark.parametrize(
        ("name", "header"),
        [("NoOtherEncryption", ""), ("NoKeysOfTheWriter", "-customer-algorithm")],
    )
    def test_a_write_takes_the_buckets_encryption(
        self, sam: Template, name: str, header: str
    ) -> None:
        """Which is a whole bucket's, by the writer naming none."""
        rule = denial(sam, name)
        assert rule["Action"] == "s3:PutObject"
        assert rule["Resource"] == {"Fn::Sub": "${ArchiveBucket.Arn}/*"}
        assert rule["Condition"] == {"Null": {f"s3:x-amz-server-side-encryption{header}": "false"}}

    def test_nobody_shortens_a_lock(self, sam: Template) -> None:
        """What is locked in GOVERNANCE mode is removed and unlocked by this permission only."""
        rule = denial(sam, "NoShorterLock")
        assert rule["Action"] == "s3:BypassGovernanceRetention"
        assert rule["Resource"] == {"Fn::Sub": "${ArchiveBucket.Arn}/*"}
        assert "Condition" not in rule

    def test_holds_are_placed_and_released_by_the_holder(self, sam: Template) -> None:
        """And by the processor, for what is new; the names of the roles are of SAM's making."""
        rule = denial(sam, "HoldsByTheHolderOnly")
        assert rule["Action"] == "s3:PutObjectLegalHold"
        assert rule["Resource"] == {"Fn::Sub": "${ArchiveBucket.Arn}/*"}
        ((operator, condition),) = rule["Condition"].items()
        assert operator == "ArnNotEquals"
        roles = [referred(role) for role in condition["aws:PrincipalArn"]]
        assert roles == ["HolderFunctionRole", "ProcessorFunctionRole"]
        kinds = {sam.translated["Resources"][role]["Type"] for role in roles}
        assert kinds == {"AWS::IAM::Role"}

    def test_whoever_writes_evidence_may_lock_it(self, sam: Template) -> None:
        """Where there is anything to lock, and below the same keys."""
        written, locked = set(), set()
        for logical, grant in grants(sam):
            folder = str(grant["Resource"])
            if "ArchiveBucket" not in folder or "ledger" in folder:
                continue
            if grant["Action"] == "s3:PutObject":
                written.add((logical, folder))
            if grant["Action"] == "s3:PutObjectRetention":
                locked.add((logical, folder))
        for _, statement in statements(sam):
            for condition, action in actions(statement):
                if action == "s3:PutObjectRetention":
                    assert condition == "LocksEvidence"
        assert {logical for logical, _ in written} == {
            "ProcessorFunction",
            "AuditorFunction",
            "HolderFunction",
            "AccessFunction",
        }
        assert locked == written

    @pytest.mark.parametrize(
        ("parameters", "refused"),
        [
            ({}, False),
            ({"RetentionMode": "GOVERNANCE"}, False),
            ({"RetentionMode": "COMPLIANCE"}, True),
            ({"RetentionMode": "COMPLIANCE", "ComplianceConfirmation": CONFIRMED}, False),
            ({"RetentionMode": "COMPLIANCE", "ComplianceConfirmation": "yes"}, True),
        ],
    )
    def test_compliance_is_deployed_only_when_its_price_was_named(
        self, sam: Template, parameters: Json, refused: bool
    ) -> None:
        """The rule reaches CloudFormation, and the local system obeys it too."""
        assert sam.translated["Rules"] == sam.source["Rules"]
        broken = broken_rules(sam.source, parameters)
        assert bool(broken) is refused
        assert all(CONFIRMED in said for said in broken)
        description = sam.source["Parameters"]["ComplianceConfirmation"]["Description"]
        assert CONFIRMED in description

    def test_nothing_is_locked_unless_somebody_wants_it(self, sam: Template) -> None:
        """Since it cannot be undone; and no name can be taken for the providers' own retention."""
        parameters = sam.source["Parameters"]
        assert parameters["RetentionMode"]["Default"] == "NONE"
        for provider in ("Ringex", "Ringcx", "Kazoo"):
            years = parameters[f"{provider}LockYears"]
            assert years["Default"] >= 7
            assert "our own archive" in years["Description"]
            if f"{provider}RetentionDays" in names_of(Tuning):
                assert f"{provider}RetentionDays is" in years["Description"]

    def test_no_lifecycle_rule_expires_what_is_not_archived(self, sam: Template) -> None:
        """Of the archive only the ledger's marks, of the inbox what has the tag."""
        for logical, bucket in sam.of("AWS::S3::Bucket").items():
            rules = bucket["LifecycleConfiguration"]["Rules"]
            assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
            expiring = [rule for rule in rules if any("Expiration" in name for name in rule)]
            if logical == "ArchiveBucket":
                assert [rule["Prefix"] for rule in expiring] == ["ledger/marks/"]
                continue
            for rule in expiring:
                assert rule["TagFilters"] == [{"Key": "legato", "Value": "archived"}]
                assert rule["ExpirationInDays"] == 30
                assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}

    def test_the_ledger_can_be_restored_to_any_second(self, sam: Template) -> None:
        for table in sam.of("AWS::DynamoDB::Table").values():
            assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
            assert table["BillingMode"] == "PAY_PER_REQUEST"


class TestWhoGetsIn:
    def test_no_bucket_is_public(self, sam: Template) -> None:
        for logical, bucket in sam.of("AWS::S3::Bucket").items():
            assert bucket["PublicAccessBlockConfiguration"] == {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            }, logical
            rules = bucket["OwnershipControls"]["Rules"]
            assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}], logical

    def test_everything_is_encrypted(self, sam: Template) -> None:
        for bucket in sam.of("AWS::S3::Bucket").values():
            (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            condition, own_key, s3_key = rule["Fn::If"]
            assert condition == "HasKmsKey"
            assert own_key["ServerSideEncryptionByDefault"] == {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": {"Ref": "KmsKeyArn"},
            }
            assert s3_key["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        key = {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
        for queue in sam.of("AWS::SQS::Queue").values():
            otherwise = {"Fn::If": ["HasKmsKey", {"Ref": "AWS::NoValue"}, True]}
            assert queue["SqsManagedSseEnabled"] == otherwise
            assert queue["KmsMasterKeyId"] == key
        for table in sam.of("AWS::DynamoDB::Table").values():
            assert table["SSESpecification"]["SSEEnabled"] is True

    @pytest.mark.parametrize(
        ("kind", "policy_kind", "target"),
        [
            ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket"),
            ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
            ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics"),
        ],
    )
    def test_only_tls_is_spoken(
        self, sam: Template, kind: str, policy_kind: str, target: str
    ) -> None:
        for logical in sam.of(kind):
            denials = [
                statement
                for policy in sam.of(policy_kind).values()
                if mentions(policy[target], logical)
                for statement in every_statement(policy["PolicyDocument"])
                if statement.get("Condition") == TLS_ONLY
                and (statement["Resource"] == "*" or mentions(statement["Resource"], logical))
            ]
            assert [(s["Effect"], s["Principal"]) for s in denials] == [("Deny", "*")], logical

    def test_functions_may_do_named_actions_on_named_resources(self, sam: Template) -> None:
        """Of a bucket's objects, those of a folder."""
        for logical, grant in grants(sam):
            action, resource = grant["Action"], grant["Resource"]
            assert "*" not in action, f"{logical}: {action}"
            assert isinstance(resource, dict), f"{logical}: {action} on {resource}"
            if not (resource in OBJECTS and action.startswith("s3:")):
                assert not any("*" in text for text in every_string(resource)), (logical, action)

    def test_what_may_be_done_to_a_resource_is_said_once(self, sam: Template) -> None:
        """A second statement has another condition, or is itself there under one."""
        for logical, properties in sam.functions.items():
            found = [
                (str(each["Resource"]), str(each.get("Condition")))
                for each in properties["Policies"][-1]["Statement"]
                if "Effect" in each
            ]
            assert len(found) == len(set(found)), logical

    def test_every_permission_names_the_code_that_needs_it(self, sam: Template) -> None:
        """Beside an action, or above it in its statement: who removes the code finds it."""
        actions = {grant["Action"] for _, grant in grants(sam)}
        actions |= {"kms:Sign", "kms:GetPublicKey", "kms:GetKeyPolicy"}
        found = set()
        for line, reason in reasons(sam):
            if named := actions.intersection(re.findall(r"\w+:\w+", line.partition(" # ")[0])):
                found |= named
                where = re.match(r"(legato/[\w/.]*\w)\b", reason)
                assert where, line.strip()
                assert (ROOT / "layers" / "shared" / where[1]).exists(), line.strip()
        assert found == actions

    def test_a_key_is_used_only_when_one_is_given(self, sam: Template) -> None:
        resources, conditions = sam.source["Resources"], sam.source["Conditions"]
        assert resources["EncryptionPolicy"]["Condition"] == "HasKmsKey"
        for logical, properties in sam.functions.items():
            for policy in properties["Policies"]:
                if "EncryptionPolicy" in every_string(policy):
                    condition = policy["Fn::If"][0]
                    assert "HasKmsKey" in every_string([condition, conditions[condition]]), logical
                    continue
                for statement in document(sam, policy)["Statement"]:
                    if "KmsKeyArn" in every_string(statement):
                        assert statement["Fn::If"][0] == "HasKmsKey", logical

    def test_no_log_holds_a_header_or_a_body(self, sam: Template) -> None:
        for api in sam.of("AWS::Serverless::HttpApi").values():
            names = re.findall(r"\$(\w+)\.", api["AccessLogSettings"]["Format"])
            assert set(names) == {"context"}

    @pytest.mark.attacks("takes over a function behind the internet, to read the credentials")
    def test_who_answers_the_internet_can_read_no_credential(self, sam: Template) -> None:
        answering = {route.function for route in routes(sam.translated)}
        assert answering >= {"WebhookFunction", "PushFunction"}
        for logical in answering:
            assert not mentions(sam.functions[logical], "Credentials"), logical

    @pytest.mark.attacks("takes over a function that reads credentials, to change them")
    def test_nobody_writes_credentials_and_the_keeper_alone_the_tokens(self, sam: Template) -> None:
        writing = [
            (logical, referred(statement["Resource"]))
            for logical, statement in grants(sam)
            if statement["Action"] == "secretsmanager:PutSecretValue"
        ]
        assert writing == [("KeeperFunction", "InboundTokens")]

    def test_the_verification_token_is_one_that_ringcentral_takes(self, sam: Template) -> None:
        secret = sam.of("AWS::SecretsManager::Secret")["InboundTokens"]
        recipe = secret["GenerateSecretString"]
        assert recipe["GenerateStringKey"] == "ringexVerificationToken"
        assert recipe["PasswordLength"] == 32
        assert recipe["ExcludeUppercase"] is True
        assert recipe["ExcludePunctuation"] is True
        assert recipe["ExcludeCharacters"] == "ghijklmnopqrstuvwxyz"


class TestKeeper:
    def test_it_can_be_left_out_as_a_whole(self, sam: Template) -> None:
        """Whatever names the keeper, or is named after it, has its condition."""
        with_condition(sam, "KeeperFunction", "UsesRingex")
        for logical, entry in sam.source["Resources"].items():
            if logical.startswith(("Keeper", "RingexSubscription")):
                assert entry["Condition"] == "UsesRingex", logical

    def test_the_address_is_the_webhooks(self, sam: Template) -> None:
        """What is subscribed, what changes the resource, and what an operator reads."""
        (resource,) = sam.of("Custom::RingexSubscription").values()
        variables = sam.functions["KeeperFunction"]["Environment"]["Variables"]
        address = sam.source["Outputs"]["WebhookUrl"]["Value"]
        assert resource["Address"] == variables["LEGATO_RINGEX_WEBHOOK_URL"] == address

    def test_the_webhook_stands_before_it_is_tried(self, sam: Template) -> None:
        """The stage and the permission that the route needs, as SAM names them."""
        waited_for = sam.source["Resources"]["RingexSubscription"]["DependsOn"]
        kinds = {sam.translated["Resources"][logical]["Type"] for logical in waited_for}
        assert kinds == {"AWS::ApiGatewayV2::Stage", "AWS::Lambda::Permission"}

    def test_no_two_keepers_work_at_the_same_time(self, sam: Template) -> None:
        """One that runs out of time has lost its hold before the next one comes."""
        keeper = sam.functions["KeeperFunction"]
        assert keeper["Timeout"] < HOLD.total_seconds() < 600
        schedule = keeper["Events"]["EveryTenMinutes"]["Properties"]
        assert schedule["ScheduleExpression"] == "rate(10 minutes)"


class TestHolder:
    def test_only_who_has_signed_gets_in(self, sam: Template) -> None:
        """The routes that people use; the others are the providers'."""
        signed = {(one.path, one.function) for one in routes(sam.translated) if one.signed}
        assert signed == {("/holds", "HolderFunction"), ("/access", "AccessFunction")}
        (api,) = (
            each["Properties"]["Body"]
            for each in sam.translated["Resources"].values()
            if each["Type"] == "AWS::ApiGatewayV2::Api"
        )
        scheme = api["components"]["securitySchemes"]["AWS_IAM"]
        assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"

    def test_it_can_write_nothing_but_records(self, sam: Template) -> None:
        own = [each for logical, each in grants(sam) if logical == "HolderFunction"]
        written = [each["Resource"] for each in own if each["Action"] == "s3:PutObject"]
        assert written == [{"Fn::Sub": "${ArchiveBucket.Arn}/holds/*"}]


class TestAccess:
    def test_it_can_write_nothing_but_records(self, sam: Template) -> None:
        """And read nothing of a call."""
        own = [each for logical, each in grants(sam) if logical == "AccessFunction"]
        used = {str(each["Resource"]) for each in own if each["Action"].startswith("s3:")}
        assert used == {str({"Fn::Sub": "${ArchiveBucket.Arn}/access/*"})}


class TestPush:
    def test_it_is_there_only_where_kazoo_is(self, sam: Template) -> None:
        for section in ("Resources", "Outputs"):
            for logical, entry in sam.source[section].items():
                if logical.startswith(("Push", "Inbox")) or mentions(entry, "PushFunction"):
                    assert entry["Condition"] == "UsesKazoo", logical

    def test_the_inbox_is_announced_by_s3_itself(self, sam: Template) -> None:
        """The queue lets S3 in first, which tries it when the bucket is made."""
        resource = sam.source["Resources"]["InboxBucket"]
        assert resource["DependsOn"] == "KazooJobsQueuePolicy"
        (told,) = resource["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
        assert told["Event"] == "s3:ObjectCreated:*"
        assert referred(told["Queue"]) == "KazooJobsQueue"
        policy = sam.of("AWS::SQS::QueuePolicy")["KazooJobsQueuePolicy"]["PolicyDocument"]
        (allowed,) = [each for each in every_statement(policy) if each["Effect"] == "Allow"]
        assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
        assert allowed["Action"] == "sqs:SendMessage"

    def test_a_push_writes_only_its_own_keys(self, sam: Template) -> None:
        own = [each for logical, each in grants(sam) if logical == "PushFunction"]
        assert [each["Resource"] for each in own if each["Action"].startswith("s3:")] == [
            {"Fn::Sub": "${InboxBucket.Arn}/push/*"}
        ]

    def test_a_storage_plan_may_write_and_read_and_nothing_else(self, sam: Template) -> None:
        policy = sam.of("AWS::IAM::ManagedPolicy")["InboxWriterPolicy"]["PolicyDocument"]
        actions = [each["Action"] for each in every_statement(policy)]
        assert actions == [["s3:PutObject", "s3:GetObject"], ["kms:GenerateDataKey", "kms:Decrypt"]]

    def test_a_push_that_is_too_large_raises_an_alarm_with_advice(self, sam: Template) -> None:
        """AWS lets nobody write the text of its 413."""
        counted = sam.of("AWS::Logs::MetricFilter")["PushTooLargeFilter"]
        assert counted["LogGroupName"] == {"Ref": "WebhookApiLogGroup"}
        assert '$.status = "413"' in counted["FilterPattern"]
        log = sam.of("AWS::Serverless::HttpApi")["WebhookApi"]["AccessLogSettings"]["Format"]
        assert '"status":"$context.status"' in log
        assert '"route":"$context.routeKey"' in log
        (measured,) = counted["MetricTransformations"]
        alarm = sam.of("AWS::CloudWatch::Alarm")["KazooPushTooLargeAlarm"]
        assert alarm["MetricName"] == measured["MetricName"]
        assert alarm["Namespace"] == measured["MetricNamespace"]
        assert "storage plan" in alarm["AlarmDescription"]

    def test_no_log_tells_a_token(self, sam: Template) -> None:
        """It stands in the path; the route has only its place."""
        log = sam.of("AWS::Serverless::HttpApi")["WebhookApi"]["AccessLogSettings"]["Format"]
        assert "$context.path" not in log


class TestRestorer:
    def test_s3_tells_it_of_restores_in_this_archive_and_of_nothing_else(
        self, sam: Template
    ) -> None:
        """By way of EventBridge, to which the bucket has to be told to speak."""
        archive = sam.of("AWS::S3::Bucket")["ArchiveBucket"]
        assert archive["NotificationConfiguration"] == {
            "EventBridgeConfiguration": {"EventBridgeEnabled": True}
        }
        (event,) = sam.functions["RestorerFunction"]["Events"].values()
        assert event["Type"] == "EventBridgeRule"
        assert event["Properties"]["Pattern"] == {
            "source": ["aws.s3"],
            "detail-type": ["Object Restore Completed", "Object Restore Expired"],
            "detail": {
                "bucket": {"name": [{"Ref": "ArchiveBucket"}]},
                "object": {"key": [{"prefix": "calls/"}]},
            },
        }

    def test_it_reads_nothing_of_the_archive(self, sam: Template) -> None:
        own = [each for logical, each in grants(sam) if logical == "RestorerFunction"]
        assert own
        assert not any(each["Action"].startswith("s3:") for each in own)

    def test_mail_is_there_only_for_an_address(self, sam: Template) -> None:
        """The topic, its policy, and the permission to publish. Calls are not told in the clear."""
        resources = sam.source["Resources"]
        for logical in ("RestoreTopic", "RestoreTopicPolicy"):
            assert resources[logical]["Condition"] == "HasRestoreEmail"
        topic = resources["RestoreTopic"]["Properties"]
        assert topic["KmsMasterKeyId"]["Fn::If"][2] == "alias/aws/sns"
        assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": {"Ref": "RestoreEmail"}}]
        policy = sam.functions["RestorerFunction"]["Policies"][-1]
        conditional = [each["Fn::If"] for each in policy["Statement"] if "Fn::If" in each]
        ((condition, allowed, _),) = [each for each in conditional if "sns:Publish" in str(each)]
        assert condition == "HasRestoreEmail"
        assert allowed["Resource"] == {"Ref": "RestoreTopic"}


class TestRemover:
    def test_it_is_left_out_unless_somebody_wants_it(self, sam: Template) -> None:
        """Whatever names the remover has a condition, and nothing is deleted by default."""
        assert sam.source["Parameters"]["DeleteAtSource"]["Default"] == "false"
        with_condition(sam, "RemoverFunction", "DeletesAtSource")

    def test_no_two_of_one_provider_run_at_the_same_time(self, sam: Template) -> None:
        """Each has an hour's schedule of its own, which is on only where it is to delete."""
        remover = sam.functions["RemoverFunction"]
        assert remover["Timeout"] < 3600
        for name, event in remover["Events"].items():
            schedule = event["Properties"]
            assert schedule["ScheduleExpression"] == "rate(1 hour)"
            assert schedule["State"] == {"Fn::If": [f"DeletesAt{name}", "ENABLED", "DISABLED"]}


class TestAlarms:
    """They watch what tells people, and what it cannot know (docs/alarms.md)."""

    def test_there_are_few(self, sam: Template) -> None:
        """What `legato status` says needs none of its own."""
        assert list(sam.of("AWS::CloudWatch::Alarm")) == [
            "NeedsPersonAlarm",
            "HeartbeatAlarm",
            "WebhookApiErrorsAlarm",
            "FunctionErrorsAlarm",
            "DeadLettersAlarm",
            "KazooPushTooLargeAlarm",
        ]

    def test_every_functions_errors_raise_one(self, sam: Template) -> None:
        """Behind the API a failure is an answer 5xx. What may lack is watched if it is there."""
        answering = {route.function for route in routes(sam.translated)}
        metrics = watched_by(sam.of("AWS::CloudWatch::Alarm")["FunctionErrorsAlarm"])
        watched = {
            referred(metric["Dimensions"][0]["Value"]): condition
            for condition, metric in metrics
            if metric["MetricName"] == "Errors"
        }
        assert watched.keys() == sam.functions.keys() - answering
        for logical, condition in watched.items():
            assert condition == sam.source["Resources"][logical].get("Condition", ""), logical
        assert "JobsRedelivered" in [metric["MetricName"] for _, metric in metrics]
        (api,) = sam.of("AWS::CloudWatch::Alarm")["WebhookApiErrorsAlarm"]["Dimensions"]
        assert api["Value"] == {"Ref": "WebhookApi"}

    def test_what_counts_together_is_one_sum_of_what_cloudwatch_takes(self, sam: Template) -> None:
        for logical, alarm in sam.of("AWS::CloudWatch::Alarm").items():
            if "Metrics" not in alarm:
                continue
            (shown,) = [each for each in alarm["Metrics"] if "Expression" in each]
            assert shown["Expression"] == "SUM(FILL(METRICS(), 0))", logical
            assert shown.get("ReturnData", True) is True
            assert len(watched_by(alarm)) <= MOST_METRICS, logical

    def test_every_one_reaches_the_address_that_was_given(self, sam: Template) -> None:
        for logical, alarm in sam.of("AWS::CloudWatch::Alarm").items():
            condition, topics, nothing = alarm["AlarmActions"]["Fn::If"]
            assert condition == "HasAlarmEmail", logical
            assert topics == [{"Ref": "AlarmTopic"}], logical
            assert nothing == {"Ref": "AWS::NoValue"}, logical
            silent = "breaching" if logical == "HeartbeatAlarm" else "notBreaching"
            assert alarm["TreatMissingData"] == silent, logical
            assert alarm["AlarmDescription"], logical

    def test_a_heartbeat_is_missed_before_long(self, sam: Template) -> None:
        """It comes with each run of the schedule; two may fail."""
        (event,) = sam.functions["HealthFunction"]["Events"].values()
        assert event["Properties"]["ScheduleExpression"] == "rate(5 minutes)"
        alarm = sam.of("AWS::CloudWatch::Alarm")["HeartbeatAlarm"]
        assert (alarm["Period"], alarm["EvaluationPeriods"]) == (5 * 60, 3)
        assert sam.functions["HealthFunction"]["Timeout"] < 5 * 60

    def test_who_looks_changes_nothing_but_what_was_told(self, sam: Template) -> None:
        own = [each for logical, each in grants(sam) if logical == "HealthFunction"]
        writing = [
            each
            for each in own
            if not re.match(
                r"(logs|xray):|(ssm|sqs|s3|dynamodb):(Get|List|Query|Batch)", each["Action"]
            )
            and each["Action"] != "kms:Decrypt"
        ]
        by_action = {each["Action"]: each for each in writing}
        assert by_action.keys() == {"dynamodb:PutItem", "sns:Publish", "kms:GenerateDataKey"}
        (keys,) = by_action["dynamodb:PutItem"]["Condition"].values()
        assert keys == {"dynamodb:LeadingKeys": [NOTE]}
        assert not mentions(sam.functions["HealthFunction"], "Credentials")


class TestQueues:
    def test_every_queue_has_a_dead_letter_queue_with_an_alarm(self, sam: Template) -> None:
        queues = sam.of("AWS::SQS::Queue")
        dead = {
            referred(queue["RedrivePolicy"]["deadLetterTargetArn"])
            for queue in queues.values()
            if "RedrivePolicy" in queue
        }
        metrics = watched_by(sam.of("AWS::CloudWatch::Alarm")["DeadLettersAlarm"])
        watched = {referred(metric["Dimensions"][0]["Value"]) for _, metric in metrics}
        assert watched == dead
        assert {each["MetricName"] for _, each in metrics} == {"ApproximateNumberOfMessagesVisible"}
        for logical, queue in queues.items():
            if logical in dead:
                assert queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
            else:
                assert queue["RedrivePolicy"]["maxReceiveCount"] == MOST_RECEIVES, logical

    def test_event_sources_are_set_as_aws_asks(self, sam: Template) -> None:
        """Hidden six times the timeout, partial failures, bounded concurrency."""
        queues, found = sam.of("AWS::SQS::Queue"), 0
        for logical, properties in sam.functions.items():
            assert "ReservedConcurrentExecutions" not in properties, logical
            for event in properties["Events"].values():
                if event["Type"] != "SQS":
                    continue
                found += 1
                source = event["Properties"]
                queue = queues[referred(source["Queue"])]
                assert queue["VisibilityTimeout"] == 6 * properties["Timeout"], logical
                assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"], logical
                assert source["ScalingConfig"]["MaximumConcurrency"], logical
        assert found

    def test_the_visibility_timeout_says_where_it_comes_from(self) -> None:
        text = (ROOT / "template.yaml").read_text()
        said = re.findall(r"VisibilityTimeout: \d+(.*)", text)
        assert said
        assert all(" # six times ProcessorFunction's timeout" in each for each in said)


class TestFunctions:
    def test_all_functions_write_to_one_log_group(self, sam: Template) -> None:
        """It ends, as the API's own does, and filters and searches need no other."""
        groups = sam.of("AWS::Logs::LogGroup")
        used = {sam.source["Globals"]["Function"]["LoggingConfig"]["LogGroup"]["Ref"]}
        assert not [each for each in sam.functions.values() if "LoggingConfig" in each]
        for api in sam.of("AWS::Serverless::HttpApi").values():
            used.add(referred(api["AccessLogSettings"]["DestinationArn"]))
        assert used == set(groups)
        for logical, group in groups.items():
            assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}, logical

    def test_calls_are_looked_for_only_where_that_is_wanted(self, sam: Template) -> None:
        schedule = sam.functions["SweeperFunction"]["Events"]["EveryMinute"]["Properties"]
        assert schedule["ScheduleExpression"] == "rate(1 minute)"
        assert schedule["State"] == {"Fn::If": ["UsesRingex", "ENABLED", "DISABLED"]}

    def test_functions_run_as_the_layers_were_built(self, sam: Template) -> None:
        common = sam.source["Globals"]["Function"]
        assert common["Runtime"] == "python3.13"
        assert common["Architectures"] == ["x86_64"]
        assert common["Tracing"] == "Active"
        assert common["LoggingConfig"]["LogFormat"] == "JSON"
        for logical, layer in sam.of("AWS::Serverless::LayerVersion").items():
            assert layer["CompatibleRuntimes"] == [common["Runtime"]], logical
            assert layer["CompatibleArchitectures"] == common["Architectures"], logical

    def test_every_function_is_a_folder_named_after_it(self, sam: Template) -> None:
        """One word through every layer."""
        for logical, properties in sam.functions.items():
            name = logical.removesuffix("Function").lower()
            assert properties["CodeUri"] == f"functions/{name}/"
            assert (ROOT / "functions" / name / "app.py").is_file()
            variables = properties["Environment"]["Variables"]
            assert variables["POWERTOOLS_SERVICE_NAME"] == name

    def test_every_function_has_a_sample_event(self, sam: Template) -> None:
        for logical in sam.functions:
            name = logical.removesuffix("Function").lower()
            assert list((ROOT / "events").glob(f"{name}-*.json")), logical
