"""The stack's safeguards: as its template has them, and as S3 and KMS say they are."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from legato.aws.errors import code, translated
from legato.aws.intrinsics import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.model import Json

type Parts = dict[str, Any]

BUCKET, POLICY, KEY = "ArchiveBucket", "ArchiveBucketPolicy", "SigningKey"
BUCKETS_POLICY, KEYS_POLICY = "the archive's policy", "the signing key's policy"
SETTINGS, RULES = "the archive's settings", "the archive's rules that remove"
_ARNS = {
    "AWS::IAM::Role": "arn:{partition}:iam::{account}:role/{name}",
    "AWS::S3::Bucket": "arn:{partition}:s3:::{name}",
}
"""Of what the policies name."""
_ABSENT = {
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
}
"""What S3 says where something was taken away."""


class StackSafeguards:
    """Those of the stack with this ARN, by the clients that read them."""

    def __init__(self, *, stack: str, cloudformation: Any, s3: Any, kms: Any) -> None:
        self._stack = stack
        self._cloudformation = cloudformation
        self._s3 = s3
        self._kms = kms
        self._names: dict[str, str] = {}

    def deployed(self) -> dict[str, Parts]:
        with translated("CloudFormation does not tell what was deployed"):
            template = self._cloudformation.get_template(
                StackName=self._stack, TemplateStage="Processed"
            )["TemplateBody"]
        body: Json = json.loads(template) if isinstance(template, str) else template
        resolver = Resolver(body, self._resources())

        def properties(logical: str) -> Json:
            resolved: Json = resolver.resolve(body["Resources"][logical]["Properties"])
            return resolved

        bucket = properties(BUCKET)
        (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        return {
            BUCKETS_POLICY: _statements(properties(POLICY)["PolicyDocument"]),
            KEYS_POLICY: _statements(properties(KEY)["KeyPolicy"]),
            SETTINGS: {
                "versioning": bucket["VersioningConfiguration"]["Status"],
                "Object Lock": "Enabled",
                "encryption": _encryption(encryption),
                "the block of public access": bucket["PublicAccessBlockConfiguration"],
            },
            RULES: {
                rule["Id"]: [rule.get("Prefix", ""), str(rule.get("ExpirationInDays"))]
                for rule in bucket["LifecycleConfiguration"]["Rules"]
                if any("Expiration" in name for name in rule)
            },
        }

    def present(self) -> dict[str, Parts]:
        names = self._resources()
        bucket: Any = {"Bucket": names[BUCKET]}
        settings: Parts = {}
        rules: Parts = {}
        policies: dict[str, Parts] = {BUCKETS_POLICY: {}, KEYS_POLICY: {}}
        with _looked_at(names[BUCKET]):
            policy = self._s3.get_bucket_policy(**bucket)["Policy"]
            policies[BUCKETS_POLICY] = _statements(json.loads(policy))
        with _looked_at(names[BUCKET]):
            settings["versioning"] = self._s3.get_bucket_versioning(**bucket).get("Status", "")
        with _looked_at(names[BUCKET]):
            lock = self._s3.get_object_lock_configuration(**bucket)["ObjectLockConfiguration"]
            settings["Object Lock"] = lock["ObjectLockEnabled"]
        with _looked_at(names[BUCKET]):
            answer = self._s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]
            settings["encryption"] = _encryption(answer["Rules"][0])
        with _looked_at(names[BUCKET]):
            block = self._s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
            settings["the block of public access"] = block
        with _looked_at(names[BUCKET]):
            listed = self._s3.get_bucket_lifecycle_configuration(**bucket)["Rules"]
            rules = {
                rule.get("ID", "a rule without a name"): [
                    rule.get("Filter", rule).get("Prefix", ""),
                    str(rule.get("Expiration", {}).get("Days")),
                ]
                for rule in listed
                if any("Expiration" in name for name in rule)
            }
        with translated(f"KMS does not tell the policy of {names[KEY]}"):
            text = self._kms.get_key_policy(KeyId=names[KEY], PolicyName="default")["Policy"]
        policies[KEYS_POLICY] = _statements(json.loads(text))
        return {**policies, SETTINGS: settings, RULES: rules}

    def _resources(self) -> dict[str, str]:
        """Return what the template's references come to, which is asked for once."""
        if self._names:
            return self._names
        _, partition, _, region, account, path = self._stack.split(":", 5)
        self._names = {
            "AWS::AccountId": account,
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::StackId": self._stack,
            "AWS::StackName": path.split("/")[1],
        }
        with translated("CloudFormation does not tell what is in the stack"):
            [stack] = self._cloudformation.describe_stacks(StackName=self._stack)["Stacks"]
            pages = self._cloudformation.get_paginator("list_stack_resources").paginate(
                StackName=self._stack
            )
            resources = [each for page in pages for each in page["StackResourceSummaries"]]
        self._names |= {
            each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", ())
        }
        for each in resources:
            logical, name = each["LogicalResourceId"], each.get("PhysicalResourceId", "")
            self._names[logical] = name
            if (arn := _ARNS.get(each["ResourceType"])) is not None:
                self._names[f"{logical}.Arn"] = arn.format(
                    partition=partition, account=account, name=name
                )
        return self._names


@contextmanager
def _looked_at(bucket: str) -> Iterator[None]:
    """Let what was taken away be missing. Raises Retry."""
    with translated(f"S3 does not tell how {bucket} is guarded"):
        try:
            yield
        except ClientError as error:
            if code(error) not in _ABSENT:
                raise


def _encryption(rule: Json) -> Json:
    # S3 and CloudFormation have different words for it.
    names = ("ApplyServerSideEncryptionByDefault", "ServerSideEncryptionByDefault")
    [by_default] = [rule[name] for name in names if name in rule]
    return {
        "algorithm": by_default["SSEAlgorithm"],
        "key": by_default.get("KMSMasterKeyID", ""),
    }


def _statements(policy: Json) -> Parts:
    """Return a policy's statements by their names, each in one form: AWS knows several."""
    return {
        each.get("Sid", "a statement without a name"): _form(each) for each in policy["Statement"]
    }


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _form(item) for name, item in value.items() if name != "Sid"}
    if isinstance(value, list):
        forms = sorted((_form(item) for item in value), key=str)
        return forms[0] if len(forms) == 1 else forms
    return str(value).lower() if isinstance(value, bool) else str(value)
