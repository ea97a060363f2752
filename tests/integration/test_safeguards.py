"""What an administrator changes of the stack's safeguards is found, on the stack that SAM makes."""

import json

import pytest

from legato.aws.safeguards import StackSafeguards
from legato.evidence.safeguards import compare
from local import aws, stack
from local.system import PARAMETERS
from tests.fakes import FakeClock, FakeNotes

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture(params=[{}, {"KmsKeyArn": KEY}], ids=["AWS's key", "a key of one's own"])
def deployed(request, aws_endpoint):
    name = f"guarded-{len(request.param)}-{request.node.name[:20].strip('[_-').replace('_', '-')}"
    parameters = {**stack.parameters_of(PARAMETERS), **request.param}
    return stack.create(aws_endpoint, gateway="http://gateway", parameters=parameters, name=name)


@pytest.fixture
def differences(deployed, own_client):
    """Return a function that says what differs now."""

    def look():
        guarded = StackSafeguards(
            stack=deployed.configuration.stack,
            cloudformation=own_client("cloudformation"),
            s3=own_client("s3"),
            kms=own_client("kms"),
        )
        return compare(stack=guarded, notes=FakeNotes(), clock=FakeClock())

    return look


def test_a_stack_that_was_just_deployed_is_as_it_was_deployed(differences):
    assert differences() == []


@pytest.mark.attacks("an administrator alters what guards the archive")
def test_each_change_of_an_administrator_is_named(deployed, differences, aws_endpoint):
    s3, kms = aws.client("s3", aws_endpoint), aws.client("kms", aws_endpoint)
    bucket, key = deployed.outputs["ArchiveBucketName"], deployed.outputs["SigningKeyId"]
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != "NoShorterLock"]
    policy["Statement"][0]["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}
    policy["Statement"].append({"Sid": "Mine", "Effect": "Allow", "Principal": "*"})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "Tidy",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "calls/"},
                    "Expiration": {"Days": 1},
                }
            ]
        },
    )
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": KEY.replace("1111-", "9999-"),
                    }
                }
            ]
        },
    )
    s3.delete_public_access_block(Bucket=bucket)
    signing = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    signing["Statement"].pop()
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(signing))
    assert differences() == [
        "the archive's policy: Mine was added",
        "the archive's policy: NoShorterLock is missing",
        "the archive's policy: TlsOnly was changed",
        "the signing key's policy: SignaturesByTheAuditorOnly is missing",
        "the archive's settings: encryption was changed",
        "the archive's settings: the block of public access is missing",
        "the archive's rules that remove: DropOldMarks is missing",
        "the archive's rules that remove: Tidy was added",
    ]
