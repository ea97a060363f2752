"""What AWS permits: the template's policies, asked of each request as AWS asks them.

moto enforces none. So the functions of the local system ask here, before a request is sent: what is
not granted fails as it would in AWS, and what a grant was used for is written down.

Everything has the template's own name: `arn:ArchiveBucket/calls/*` in every stack. What a request
is about is found by the names that a stack has given its resources.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from legato.aws.intrinsics import Resolver

type Json = dict[str, Any]
type Context = dict[str, list[str]]
"""The values of the condition keys that a request has."""

ACCOUNT = "123456789012"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "legato",
    "AWS::StackId": f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/legato/guid",
    "AWS::URLSuffix": "amazonaws.com",
}
BY_SAM = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
"""What SAM grants a function that a queue feeds, by AWS's own AWSLambdaSQSQueueExecutionRole."""
_ATTRIBUTES = ("Arn", "ApiEndpoint")


@dataclass(frozen=True, slots=True)
class Asked:
    """What AWS asks of the policies for a request; one request may ask several times."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """The smallest part of a policy that can be missing, or too much.

    An action on a resource, and each value that a condition lets it have.
    """

    function: str
    action: str
    resource: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.function}: {self.action} on {self.resource} {self.value}".rstrip()


class Denied(Exception):
    """The policies do not permit it. Says what, to whom, and why."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one function may do.

    `allowed` are the statements of its role, of one action each, and `denied` those that refuse;
    `policies` are those of the resources, by the template's name of each, of which only what they
    refuse matters. `key` is the customer's, if there is one; `keyed` are the resources that AWS
    encrypts with it.
    """

    function: str
    allowed: Sequence[Json]
    policies: Mapping[str, Sequence[Json]]
    fed: bool
    denied: Sequence[Json] = ()
    key: str = ""
    keyed: frozenset[str] = frozenset()

    def check(self, asked: Asked) -> set[Grant]:
        """Return what permits it. Raises Denied."""
        principal = f"arn:{self.function}Role"
        refusal = refused(asked, self.policies, principal)
        if refusal := refusal or denying(self.denied, asked, principal):
            raise Denied(f"{self.function}: {asked.action} on {asked.resource}: {refusal}")
        if self.fed and asked.action in BY_SAM:
            return set()
        context = with_defaults(asked, principal)
        used: set[Grant] = set()
        for statement in self.allowed:
            used |= self._used(statement, asked, context)
        if not used:
            raise Denied(
                f"{self.function}: {asked.action} on {asked.resource} is not granted "
                f"with {asked.context}"
            )
        return used

    def asked(
        self, service: str, operation: str, params: Json, own: Mapping[str, str]
    ) -> list[Asked]:
        """Return what AWS asks for a request; `own` is what a stack calls its resources."""
        found = list(asked_for(service, operation, params, own))
        if self.key:
            keyed = [each for each in found if _name(each.resource) in self.keyed]
            wanted = dict.fromkeys(key for each in keyed for key in _KEYS.get(each.action, ()))
            found += [Asked(action, self.key) for action in wanted]
        return found

    def grants(self) -> set[Grant]:
        """Return all that is granted."""
        return {
            grant
            for statement in self.allowed
            for resource in _list(statement["Resource"])
            for grant in (
                Grant(self.function, statement["Action"], resource),
                *(
                    Grant(self.function, statement["Action"], resource, value)
                    for value in _values(statement)
                ),
            )
        }

    def _used(self, statement: Json, asked: Asked, context: Context) -> set[Grant]:
        if not applies(statement, asked, context):
            return set()
        said = [value for values in asked.context.values() for value in values]
        met = ["", *(want for want in _values(statement) if any(matches(want, v) for v in said))]
        return {
            Grant(self.function, statement["Action"], resource, value)
            for resource in _list(statement["Resource"])
            if matches(resource, asked.resource)
            for value in met
        }


NOTHING = Permissions(function="", allowed=(), policies={}, fed=False)
"""What a function may do of which nothing is said."""


def permissions(template: Json, parameters: Mapping[str, Any]) -> dict[str, Permissions]:
    """Return what each function of a translated template may do, by its logical id."""
    resolver = Resolver(template, symbols(template, parameters))
    resources: Json = {
        logical: resource
        for logical, resource in template["Resources"].items()
        if "Condition" not in resource or resolver.holds(resource["Condition"])
    }
    policies = resource_policies(resources, resolver)
    attached: dict[str, list[Json]] = {}
    managed: dict[str, list[Json]] = {}
    for logical, resource in resources.items():
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            properties = resolver.resolve(resource["Properties"])
            statements = properties["PolicyDocument"]["Statement"]
            managed[logical] = statements
            for role in properties.get("Roles", ()):
                attached.setdefault(role, []).extend(statements)
    key = str(parameters.get("KmsKeyArn", ""))
    keyed = {
        logical: resolver.resolve(resource.get("Properties", {}))
        for logical, resource in resources.items()
        if resource["Type"] in _ENCRYPTED
    }
    found = {}
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::Lambda::Function":
            continue
        role = resources[f"{logical}Role"]["Properties"]
        said = [
            statement
            for policy in role.get("Policies", ())
            for statement in resolver.resolve(policy["PolicyDocument"])["Statement"]
        ]
        said += attached.get(f"{logical}Role", ())
        for policy in resolver.resolve(role.get("ManagedPolicyArns", [])):
            said += managed.get(policy, ())  # AWS's own are known by what SAM gives them for
        found[logical] = Permissions(
            function=logical,
            allowed=[one for each in said if each["Effect"] == "Allow" for one in _single(each)],
            denied=[each for each in said if each["Effect"] == "Deny"],
            policies=policies,
            fed="SQSQueueExecutionRole" in str(role.get("ManagedPolicyArns")),
            key=key,
            keyed=frozenset(
                name for name, properties in keyed.items() if key and key in str(properties)
            ),
        )
    return found


def symbols(template: Json, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return what the template's references come to, where every resource has its own name."""
    names = {name: str(each["Default"]) for name, each in template.get("Parameters", {}).items()}
    names |= {name: str(value) for name, value in parameters.items()} | PSEUDO
    for logical, resource in template["Resources"].items():
        by_arn = resource["Type"] in _REFERRED_BY_ARN
        names[logical] = f"arn:{logical}" if by_arn else logical
        names |= {f"{logical}.{each}": f"arn:{logical}" for each in _ATTRIBUTES}
    return names


def resource_policies(resources: Json, resolver: Resolver) -> dict[str, list[Json]]:
    """Return the statements of the policies that buckets, queues, topics and keys have."""
    found: dict[str, list[Json]] = {}
    for logical, resource in resources.items():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::S3::BucketPolicy":
                targets, document = [properties["Bucket"]], properties["PolicyDocument"]
            case "AWS::SQS::QueuePolicy":
                targets, document = properties["Queues"], properties["PolicyDocument"]
            case "AWS::SNS::TopicPolicy":
                targets, document = properties["Topics"], properties["PolicyDocument"]
            case "AWS::KMS::Key":
                targets, document = [{"Ref": logical}], properties["KeyPolicy"]
            case _:
                continue
        for target in resolver.resolve(targets):
            statements = resolver.resolve(document)["Statement"]
            found.setdefault(_name(target), []).extend(statements)
    return found


def refused(asked: Asked, policies: Mapping[str, Sequence[Json]], principal: str) -> str | None:
    """Return which statement of a resource's policy refuses it to this principal, if one does.

    A queue's and a key's policies speak of "*", which is the one whose policy it is.
    """
    return denying(policies.get(_name(asked.resource), ()), asked, principal)


def denying(statements: Iterable[Json], asked: Asked, principal: str) -> str | None:
    """Return which of these statements refuses it to this principal, if one does."""
    context = with_defaults(asked, principal)
    for statement in statements:
        but = "NotResource" in statement
        resources = _list(statement["NotResource" if but else "Resource"])
        about = any(matches(each, asked.resource) for each in resources) != but
        if statement["Effect"] == "Deny" and about and applies(statement, asked, context):
            return str(statement["Sid"])
    return None


def applies(statement: Json, asked: Asked, context: Context) -> bool:
    """Say whether a statement speaks of an action under its conditions, whatever its resources."""
    if not any(matches(each.lower(), asked.action.lower()) for each in _list(statement["Action"])):
        return False
    return all(
        _condition(operator, context.get(key.lower()), [str(each) for each in _list(values)])
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def with_defaults(asked: Asked, principal: str) -> Context:
    """Return the condition keys of a request, with those that every request has."""
    everywhere = {"aws:PrincipalArn": [principal], "aws:SecureTransport": ["true"]}
    return {name.lower(): values for name, values in (everywhere | asked.context).items()}


def matches(pattern: str, text: str) -> bool:
    """Say whether a text is what a pattern of IAM's says: `*` is anything, `?` one character."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def _condition(operator: str, found: list[str] | None, wanted: list[str]) -> bool:
    """Evaluate one condition.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    quantifier, _, plain = operator.rpartition(":")
    if plain == "Null":
        return (found is None) == (wanted == ["true"])
    plain, _, if_exists = plain.partition("IfExists")
    compare, negated = _COMPARED[plain]
    if found is None:
        optional = operator.endswith("IfExists") or quantifier == "ForAllValues"
        return optional or (negated and quantifier != "ForAnyValue")
    del if_exists
    each = [any(compare(value, want) for want in wanted) != negated for value in found]
    return any(each) if quantifier == "ForAnyValue" else all(each)


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, want: compare(float(value), float(want))


_COMPARED: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "Bool": (lambda value, want: value == want, False),
    "StringEquals": (lambda value, want: value == want, False),
    "StringNotEquals": (lambda value, want: value == want, True),
    "StringLike": (lambda value, want: matches(want, value), False),
    "StringNotLike": (lambda value, want: matches(want, value), True),
    "ArnEquals": (lambda value, want: matches(want, value), False),
    "ArnLike": (lambda value, want: matches(want, value), False),
    "ArnNotEquals": (lambda value, want: matches(want, value), True),
    "NumericGreaterThan": (_number(lambda value, want: value > want), False),
    "NumericLessThanEquals": (_number(lambda value, want: value <= want), False),
}
"""How each operator compares, and whether it says what must not be."""
_REFERRED_BY_ARN = {"AWS::SecretsManager::Secret", "AWS::SNS::Topic"}
_ENCRYPTED = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::SQS::Queue",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
}
_DECRYPT, _ENCRYPT = "kms:Decrypt", "kms:GenerateDataKey"
_KEYS: dict[str, tuple[str, ...]] = {
    "s3:PutObject": (_ENCRYPT,),
    "s3:GetObject": (_DECRYPT,),
    "s3:GetObjectVersion": (_DECRYPT,),
    "sqs:SendMessage": (_ENCRYPT, _DECRYPT),
    "sqs:ReceiveMessage": (_DECRYPT,),
    "sns:Publish": (_ENCRYPT, _DECRYPT),
    "secretsmanager:GetSecretValue": (_DECRYPT,),
    "secretsmanager:PutSecretValue": (_ENCRYPT, _DECRYPT),
    "dynamodb:GetItem": (_DECRYPT,),
    "dynamodb:PutItem": (_DECRYPT,),
    "dynamodb:Query": (_DECRYPT,),
    "dynamodb:BatchGetItem": (_DECRYPT,),
    "dynamodb:BatchWriteItem": (_DECRYPT,),
}
"""What each service asks of the customer's key in the caller's name; nothing for what is not here.

https://docs.aws.amazon.com/kms/latest/developerguide/service-integration.html
"""


# What AWS asks for each request. S3 names its actions after objects, not after requests.


def asked_for(
    service: str, operation: str, params: Json, own: Mapping[str, str]
) -> Iterator[Asked]:
    """Yield what AWS asks of the policies. Raises Denied for a request that no table here knows."""
    match service:
        case "s3":
            yield from _s3(operation, params, own)
        case "dynamodb":
            yield from _dynamodb(operation, params, own)
        case "sqs" if operation in _SQS:
            yield Asked(_SQS[operation], f"arn:{own[params['QueueUrl']]}")
        case "sns" if operation == "Publish":
            yield Asked("sns:Publish", f"arn:{own[params['TopicArn']]}")
        case "secretsmanager" if operation in ("GetSecretValue", "PutSecretValue"):
            yield Asked(f"{service}:{operation}", f"arn:{own[params['SecretId']]}")
        case "ssm" if operation == "GetParameter":
            arn = f"arn:aws:ssm:{PSEUDO['AWS::Region']}:{ACCOUNT}:parameter/{own[params['Name']]}"
            yield Asked("ssm:GetParameter", arn)
        case "cloudformation":
            yield Asked(f"{service}:{operation}", PSEUDO[own[params["StackName"]]])
        case "kms" if operation in ("Sign", "GetPublicKey", "GetKeyPolicy"):
            yield Asked(f"{service}:{operation}", f"arn:{own[params['KeyId']]}")
        case _:
            raise Denied(f"{service}:{operation} is in no table of local/permissions.py")


_SQS = {
    "GetQueueAttributes": "sqs:GetQueueAttributes",
    "SendMessage": "sqs:SendMessage",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "DeleteMessage": "sqs:DeleteMessage",
}
_S3_OBJECT = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "PutObjectTagging": "s3:PutObjectTagging",
}
_S3_VERSION = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}
"""What is asked instead for a request that names a version."""
_S3_BUCKET = {
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "GetBucketPolicy": "s3:GetBucketPolicy",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}
READING = ("HeadObject", "GetObject")
"""Without `s3:ListBucket` S3 refuses these for a key that is not there, instead of saying so."""


def _s3(operation: str, params: Json, own: Mapping[str, str]) -> Iterator[Asked]:
    bucket = f"arn:{own[params['Bucket']]}"
    if operation in _S3_BUCKET:
        listed = {"s3:prefix": [params.get("Prefix", "")]} if operation.startswith("List") else {}
        yield Asked(_S3_BUCKET[operation], bucket, listed)
        return
    if operation not in _S3_OBJECT:
        raise Denied(f"s3:{operation} is in no table of local/permissions.py")
    resource, action = f"{bucket}/{params['Key']}", _S3_OBJECT[operation]
    if params.get("VersionId"):
        action = _S3_VERSION.get(action, action)
    said: Context = {}
    if operation in ("PutObject", "CompleteMultipartUpload"):
        said["s3:ObjectCreationOperation"] = ["true"]
    elif operation in ("CreateMultipartUpload", "UploadPart"):
        said["s3:ObjectCreationOperation"] = ["false"]
    if "IfNoneMatch" in params:
        said["s3:if-none-match"] = [params["IfNoneMatch"]]
    if "ServerSideEncryption" in params:
        said["s3:x-amz-server-side-encryption"] = [params["ServerSideEncryption"]]
    if "LegalHold" in params:
        said["s3:object-lock-legal-hold"] = [params["LegalHold"]["Status"]]
    yield Asked(action, resource, said)
    # What S3 asks for a write that says how its object is locked.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
    if "ObjectLockRetainUntilDate" in params:
        days = (params["ObjectLockRetainUntilDate"] - datetime.now(UTC)).days
        locked = {
            "s3:object-lock-mode": [params["ObjectLockMode"]],
            "s3:object-lock-remaining-retention-days": [str(days)],
        }
        yield Asked("s3:PutObjectRetention", resource, locked)
    if "ObjectLockLegalHoldStatus" in params:
        held = {"s3:object-lock-legal-hold": [params["ObjectLockLegalHoldStatus"]]}
        yield Asked("s3:PutObjectLegalHold", resource, held)


def _dynamodb(operation: str, params: Json, own: Mapping[str, str]) -> Iterator[Asked]:
    match operation:
        case "GetItem":
            asked = {params["TableName"]: [params["Key"]]}
        case "PutItem":
            asked = {params["TableName"]: [params["Item"]]}
        case "BatchGetItem":
            asked = {table: each["Keys"] for table, each in params["RequestItems"].items()}
        case "BatchWriteItem":
            asked = {
                table: [
                    each.get("PutRequest", {}).get("Item") or each["DeleteRequest"]["Key"]
                    for each in requests
                ]
                for table, requests in params["RequestItems"].items()
            }
        case "TransactWriteItems":
            operation = "PutItem"  # of which alone they consist here
            asked = {}
            for each in params["TransactItems"]:
                asked.setdefault(each["Put"]["TableName"], []).append(each["Put"]["Item"])
        case "Query":
            index = params.get("IndexName")
            resource = f"arn:{own[params['TableName']]}" + (f"/index/{index}" if index else "")
            # The first condition is the one of the partition.
            value = re.match(r"\w+ = (:\w+)", params["KeyConditionExpression"])
            if value is None:
                raise Denied(f"a query without a partition: {params['KeyConditionExpression']}")
            leading = params["ExpressionAttributeValues"][value[1]]["S"]
            yield Asked("dynamodb:Query", resource, {"dynamodb:LeadingKeys": [leading]})
            return
        case _:
            raise Denied(f"dynamodb:{operation} is in no table of local/permissions.py")
    for table, items in asked.items():
        leading_keys = list(dict.fromkeys(item["pk"]["S"] for item in items))
        context = {"dynamodb:LeadingKeys": leading_keys}
        yield Asked(f"dynamodb:{operation}", f"arn:{own[table]}", context)


def _single(statement: Json) -> list[Json]:
    """Return a statement for each action of this one."""
    return [{**statement, "Action": action} for action in _list(statement["Action"])]


def _values(statement: Json) -> list[str]:
    """Return what a statement's conditions let a key have, where that narrows what is granted."""
    return [
        value
        for keys in statement.get("Condition", {}).values()
        for values in keys.values()
        for value in _list(values)
    ]


def _name(resource: str) -> str:
    """Return the template's name in an ARN of ours, or in a Ref."""
    return re.split(r"[/:]", resource.removeprefix("arn:"), maxsplit=1)[0]


def _list(value: Any) -> list[Any]:
    return (
        list(value)
        if isinstance(value, Iterable) and not isinstance(value, str | dict)
        else [value]
    )
