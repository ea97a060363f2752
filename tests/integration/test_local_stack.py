"""The local stack is the real template's, with every difference named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from legato.config import configuration
from local import aws, stack, template
from local.processes import LocalError
from local.system import PARAMETERS

if TYPE_CHECKING:
    from pathlib import Path

    from local.stack import Stack

GATEWAY = "http://127.0.0.1:4601"


@pytest.fixture(scope="module")
def created(aws_endpoint: str) -> Stack:
    parameters = stack.parameters_of(PARAMETERS)
    return stack.create(aws_endpoint, gateway=GATEWAY, parameters=parameters, name="tried")


def test_functions_are_told_what_the_template_says(created: Stack, aws_endpoint: str) -> None:
    """Parameters, resources, and the tuning where nothing else is said."""
    name = created.functions["ProcessorFunction"].environment["LEGATO_CONFIG"]
    document = aws.client("ssm", aws_endpoint).get_parameter(Name=name)["Parameter"]["Value"]
    told = configuration(document)
    assert created.configuration == replace(
        told,
        signing_key=created.outputs["SigningKeyId"],
        ringex_webhook_url=created.outputs["WebhookUrl"],
    )
    assert told.bucket == created.outputs["ArchiveBucketName"]
    assert told.table == created.outputs["LedgerTableName"]
    assert told.ringex_queue.startswith(aws_endpoint)
    assert told.ringex_settle_seconds == 1
    assert (told.tuning.retry_seconds, told.tuning.max_attempts) == (1, 5)
    assert told.inbox == told.restore_topic == ""
    assert created.functions["WebhookFunction"].environment["POWERTOOLS_SERVICE_NAME"] == "webhook"


def test_routes_and_sources_are_the_templates(created: Stack) -> None:
    assert sorted((r.method, r.path, r.function) for r in created.routes) == [
        ("POST", "/access", "AccessFunction"),
        ("POST", "/holds", "HolderFunction"),
        ("POST", "/webhook/ringcentral", "WebhookFunction"),
    ]
    assert {route.path for route in created.routes if route.signed} == {"/access", "/holds"}
    assert created.outputs["HoldsUrl"] == f"{GATEWAY}/holds"
    assert created.outputs["AccessUrl"] == f"{GATEWAY}/access"
    assert created.outputs["WebhookUrl"] == f"{GATEWAY}/webhook/ringcentral"
    sources = {source.queue_url: source for source in created.sources}
    queues = [queue.url for queue in created.configuration.queues.values()]
    assert sources.keys() == set(queues)
    source = sources[queues[0]]
    assert source.function == "ProcessorFunction"
    assert (source.batch_size, source.window, source.concurrency) == (100, 2, 2)
    assert all(source.partial for source in created.sources)


@pytest.fixture(scope="module")
def with_kazoo(aws_endpoint: str) -> Stack:
    parameters = {**stack.parameters_of(PARAMETERS), "KazooUrl": "http://127.0.0.1:4604/v2"}
    return stack.create(aws_endpoint, gateway=GATEWAY, parameters=parameters, name="kazoo")


def test_what_a_condition_leaves_out_is_not_there(created: Stack) -> None:
    """Neither the push function of Kazoo nor its inbox."""
    assert "PushFunction" not in created.functions
    assert not {"InboxBucketName", "KazooPushUrl"} & created.outputs.keys()


def test_kazoo_has_an_address_for_pushes(with_kazoo: Stack) -> None:
    pushes = [route for route in with_kazoo.routes if route.function == "PushFunction"]
    address = "/kazoo/recordings"
    assert sorted((route.method, route.path) for route in pushes) == [
        ("POST", f"{address}/{{token}}"),
        ("POST", f"{address}/{{token}}/{{name+}}"),
        ("PUT", f"{address}/{{token}}"),
        ("PUT", f"{address}/{{token}}/{{name+}}"),
    ]
    assert with_kazoo.outputs["KazooPushUrl"] == f"{GATEWAY}{address}"
    environment = with_kazoo.functions["PushFunction"].environment
    assert environment["LEGATO_INBOX"] == with_kazoo.outputs["InboxBucketName"]


def test_the_inbox_tells_kazoos_queue_what_arrives(with_kazoo: Stack, aws_endpoint: str) -> None:
    """However it was written, and moto tells it twice of what came in parts. S3 tries it first."""
    s3, sqs = (aws.client(service, aws_endpoint) for service in ("s3", "sqs"))
    bucket = with_kazoo.outputs["InboxBucketName"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    s3.put_object(Bucket=bucket, Key="whole", Body=b"1")
    upload = {"Bucket": bucket, "Key": "in parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    tag = s3.upload_part(**upload, PartNumber=1, Body=b"1")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    received = sqs.receive_message(
        QueueUrl=with_kazoo.configuration.kazoo_queue, MaxNumberOfMessages=10
    )
    told = [json.loads(message["Body"]) for message in received["Messages"]]
    records = [record for message in told for record in message.get("Records", [])]
    assert [message["Event"] for message in told if "Event" in message] == ["s3:TestEvent"]
    assert {(each["eventName"], each["s3"]["object"]["key"]) for each in records} >= {
        ("ObjectCreated:CompleteMultipartUpload", "in+parts"),
        ("ObjectCreated:Put", "whole"),
    }


def test_the_policy_for_a_storage_plan_exists(with_kazoo: Stack, aws_endpoint: str) -> None:
    iam = aws.client("iam", aws_endpoint)
    policy = iam.get_policy(PolicyArn=with_kazoo.outputs["InboxWriterPolicyArn"])["Policy"]
    found = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
    bucket = with_kazoo.outputs["InboxBucketName"]
    (statement,) = found["PolicyVersion"]["Document"]["Statement"]
    assert statement["Action"] == ["s3:PutObject", "s3:GetObject"]
    account = f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/id-1}}${{aws:PrincipalTag/id-2}}"
    assert statement["Resource"][2].startswith(account)


def test_the_bucket_is_versioned_and_locked(created: Stack, aws_endpoint: str) -> None:
    s3, bucket = aws.client("s3", aws_endpoint), created.outputs["ArchiveBucketName"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    lock = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    assert lock["ObjectLockEnabled"] == "Enabled"


def test_the_credentials_wait_to_be_filled_in(created: Stack, aws_endpoint: str) -> None:
    secrets = aws.client("secretsmanager", aws_endpoint)
    text = secrets.get_secret_value(SecretId=created.outputs["CredentialsArn"])["SecretString"]
    assert json.loads(text) == {"ringex": {"clientId": "", "clientSecret": "", "jwt": ""}}


def test_a_token_is_there_that_ringcentral_takes(created: Stack, aws_endpoint: str) -> None:
    secrets = aws.client("secretsmanager", aws_endpoint)
    text = secrets.get_secret_value(SecretId=created.outputs["InboundTokensArn"])["SecretString"]
    token = json.loads(text)["ringexVerificationToken"]
    assert len(token) == 32
    assert set(token) <= set("0123456789abcdef")


def test_the_queue_buries_what_crashes_again_and_again(created: Stack, aws_endpoint: str) -> None:
    sqs = aws.client("sqs", aws_endpoint)
    url = created.configuration.ringex_queue
    values = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert values["VisibilityTimeout"] == "5400"
    assert '"maxReceiveCount": 10' in values["RedrivePolicy"]


def test_what_is_left_out_has_a_reason(created: Stack) -> None:
    assert created.skipped
    assert set(created.skipped.values()) <= set(stack.SKIPPED)


def test_what_moto_cannot_do_is_never_left_out_silently(aws_endpoint: str, tmp_path: Path) -> None:
    """A resource nobody thought of stops the start."""
    unknown = tmp_path / "template.yaml"
    unknown.write_text(
        "AWSTemplateFormatVersion: '2010-09-09'\n"
        "Transform: AWS::Serverless-2016-10-31\n"
        "Resources:\n"
        "  Surprise:\n"
        "    Type: AWS::Synthetics::Canary\n"
        "    Properties: {Name: tweety}\n"
    )
    with pytest.raises(LocalError, match=r"Surprise \(AWS::Synthetics::Canary\)"):
        stack.create(
            aws_endpoint, gateway=GATEWAY, parameters={}, template=unknown, name="surprising"
        )


def test_what_the_templates_rules_refuse_is_not_created(aws_endpoint: str) -> None:
    """CloudFormation says it before it begins, and moto does not."""
    with pytest.raises(LocalError, match="set ComplianceConfirmation to nobody-can-remove"):
        stack.create(
            aws_endpoint,
            gateway=GATEWAY,
            parameters={"RetentionMode": "COMPLIANCE"},
            name="locked-for-ever",
        )


def test_references_to_what_stands_in_are_replaced_everywhere() -> None:
    known = {"Api": {"Ref": "local", "ApiEndpoint": "http://here"}}
    value = {
        "a": [{"Ref": "Api"}, {"Ref": "Other"}],
        "b": {"Fn::GetAtt": ["Api", "ApiEndpoint"]},
        "c": {"Fn::GetAtt": "Api.ApiEndpoint"},
        "d": {"Fn::Sub": "${Api.ApiEndpoint}/x/${Api}/${Other.Arn}"},
    }
    assert template.substitute(value, known) == {
        "a": ["local", {"Ref": "Other"}],
        "b": "http://here",
        "c": "http://here",
        "d": {"Fn::Sub": "http://here/x/local/${Other.Arn}"},
    }
