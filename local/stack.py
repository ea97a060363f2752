"""Creates the stack of the real template in the local AWS, and says what is in it.

What the template does not say does not exist here. What moto cannot do is made good below, one by
one with its reason, or listed in `Stack.skipped`; anything else that is missing is an error.
"""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from legato.aws.intrinsics import Resolver
from legato.config import OWN, Config, configuration
from legato.settings import BadSettings, names_of
from legato.tuning import Tuning
from local import aws
from local.permissions import NOTHING, Permissions, permissions, symbols
from local.processes import LocalError
from local.template import (
    PLACEHOLDER_BUCKET,
    PLACEHOLDER_KEY,
    TEMPLATE,
    Json,
    Route,
    broken_rules,
    read,
    routes,
    substitute,
    translate,
)

# Nothing in the local system acts on these.
SKIPPED = {
    "AWS::S3::BucketPolicy": "moto enforces no policies",
    "AWS::SQS::QueuePolicy": "moto enforces no policies",
    "AWS::SNS::TopicPolicy": "moto enforces no policies",
    "AWS::Lambda::Permission": "moto enforces no policies",
    "AWS::Lambda::LayerVersion": "the workers import from the checkout; moto gives it no id",
    "AWS::CloudWatch::Alarm": "nothing measures here",
    "AWS::Logs::MetricFilter": "nothing measures here",
}
NAME = "legato"
"""The stack of the system that runs."""
CONFIGURATION = "ConfigParameter"
DOCUMENT = {"Fn::GetAtt": [CONFIGURATION, "Value"]}
"""What moto cannot say of a parameter."""
SCHEDULE = "AWS::Scheduler::Schedule"
_QUEUE_HOST = re.compile(r"https://sqs\.[a-z0-9-]+\.amazonaws\.com(?=/)")
RULE = "AWS::Events::Rule"
CUSTOM = "Custom::"
# What CloudFormation keeps to itself instead of telling the function.
NOT_PASSED_ON = {"ServiceToken", "ServiceTimeout"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function as the stack defines it."""

    logical: str
    name: str
    arn: str
    code: Path
    handler: str
    timeout: int
    memory: int
    environment: dict[str, str] = field(repr=False)
    permissions: Permissions = field(default=NOTHING, repr=False)
    own: dict[str, str] = field(default_factory=dict, repr=False)
    """The template's name of each resource, by what the function calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """An SQS event source mapping. `function` is a logical id."""

    function: str
    queue_url: str
    queue_arn: str
    batch_size: int
    window: int
    concurrency: int
    partial: bool
    """Whether the function may report single messages as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule of EventBridge Scheduler. `function` is a logical id, `input` JSON or nothing."""

    logical: str
    function: str
    expression: str
    input: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of EventBridge. What it matches comes into a queue. `function` is a logical id."""

    logical: str
    function: str
    queue_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """A custom resource. `function` is the logical id of who is told of it."""

    logical: str
    type: str
    function: str
    properties: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What the local AWS holds after the stack was created."""

    functions: dict[str, Function]
    routes: list[Route]
    sources: list[EventSource]
    schedules: list[Schedule]
    rules: list[Rule]
    customs: list[Custom]
    outputs: dict[str, str]
    configuration: Config | None
    """What the functions read of SSM."""
    skipped: dict[str, str]
    """Logical id → type, of what the local system does without."""


def create(
    endpoint: str,
    *,
    gateway: str,
    parameters: Mapping[str, str],
    template: Path = TEMPLATE,
    name: str = NAME,
    exists: bool = False,
) -> Stack:
    """Create the stack and return what is in it. `gateway` is the HTTP API's address.

    `parameters` are the template's, and of tuning. A stack that `exists` is updated instead. Raises
    LocalError, before anything is changed if a rule of the template is broken.
    """
    source = read(template)
    parameters = with_tuning(source, parameters)
    if broken := broken_rules(source, parameters):
        raise LocalError("; ".join(broken))
    translated = translate(source)
    permitted = permissions(translated, parameters)
    found = routes(translated)
    _leave_out(translated, parameters)
    resources = translated["Resources"]
    known = _played_here(resources, endpoint, gateway, name, exists=exists)
    for logical in known:
        del resources[logical]
    # moto knows no schedules, and would call a custom resource's function itself, in Docker.
    played = {
        logical: resources.pop(logical)
        for logical, resource in list(resources.items())
        if resource["Type"] == SCHEDULE or resource["Type"].startswith(CUSTOM)
    }
    rules = _rules(resources, endpoint, name)
    questions = _questions(played)
    translated["Outputs"] = {**translated.get("Outputs", {}), **questions}
    for logical, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            # moto would invoke the function itself, in Docker. The poller does that.
            resource["Properties"]["Enabled"] = False
        if resource["Type"] == "AWS::SSM::Parameter":
            # moto invents a name for everything else.
            resource["Properties"]["Name"] = f"{name}-configuration"
            # moto updates what refers to a changed parameter, but not within `Fn::Sub`.
            resource["Metadata"] = {"Parameters": parameters}
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
            resource["DeletionPolicy"] = "Retain"  # moto knows no other
        if resource["Type"] == "AWS::SQS::Queue" and name == NAME:
            resource["Properties"]["QueueName"] = logical  # as the events of events/ call it
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            # moto makes a null of a statement that a condition leaves out, and refuses the policy.
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [each for each in document["Statement"] if "Sid" in each]
    _put_placeholder(endpoint)
    cloudformation = aws.client("cloudformation", endpoint)
    before = _buckets(endpoint)
    put = cloudformation.update_stack if exists else cloudformation.create_stack
    stack_id = put(
        StackName=name,
        TemplateBody=json.dumps(substitute(translated, known)),
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )["StackId"]
    created = {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for item in cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        if item.get("PhysicalResourceId")
    }
    skipped = _skipped(translated, created)
    document = _complete_configuration(created, endpoint)
    _complete_buckets(resources, created, endpoint, before=before)
    _guard_buckets(translated, created, parameters, endpoint)
    description = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in description["Outputs"]}
    answers = {question: outputs.pop(question) for question in questions if question in outputs}
    own = {_reachable(physical, endpoint): logical for logical, physical in created.items()}
    own |= {names["Ref"]: logical for logical, names in known.items()}
    own[stack_id] = "AWS::StackId"
    functions = _functions(source, created, endpoint, permitted, own)
    try:
        config = configuration(document, _own(functions)) if document else None
    except BadSettings as error:
        raise LocalError(str(error)) from error
    return Stack(
        functions=functions,
        routes=[route for route in found if route.function in functions],
        sources=_sources(created, endpoint),
        schedules=_schedules(played, answers),
        rules=[rule for rule in rules if rule.logical in created],
        customs=_customs(played, answers, document),
        outputs={key: _reachable(value, endpoint) for key, value in outputs.items()},
        configuration=config,
        skipped=skipped,
    )


def delete(endpoint: str, *, name: str = "legato") -> None:
    """Delete the stack but for what the template retains."""
    s3 = aws.client("s3", endpoint)
    for bucket in _buckets(endpoint):
        if bucket.startswith(f"{name}-"):
            s3.delete_bucket_policy(Bucket=bucket)  # moto knows none of the stack's
    aws.client("cloudformation", endpoint).delete_stack(StackName=name)


def _buckets(endpoint: str) -> set[str]:
    return {each["Name"] for each in aws.client("s3", endpoint).list_buckets()["Buckets"]}


def _leave_out(translated: Json, parameters: Mapping[str, str]) -> None:
    """Take out what a condition leaves out: an update of moto's adds nothing that it has read."""
    resolver = Resolver(translated, symbols(translated, parameters))
    for logical, resource in list(translated["Resources"].items()):
        if "Condition" in resource and not resolver.holds(resource["Condition"]):
            del translated["Resources"][logical]


def with_tuning(source: Json, given: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters, with what is none of the template's in `Tuning`."""
    tuned = {name: value for name, value in given.items() if name not in source["Parameters"]}
    if unknown := sorted(tuned.keys() - names_of(Tuning)):
        raise LocalError(f"neither the template nor the tuning has {', '.join(unknown)}")
    rest = {name: value for name, value in given.items() if name not in tuned}
    said = json.loads(rest.pop("Tuning", "{}")) | tuned
    return rest | ({"Tuning": json.dumps(said)} if said else {})


def _complete_configuration(created: Mapping[str, str], endpoint: str) -> str:
    """Lead the queues' addresses in the functions' configuration to this host, and return it."""
    if CONFIGURATION not in created:
        return ""  # a template of which only a part is tried
    ssm, name = aws.client("ssm", endpoint), created[CONFIGURATION]
    document = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    document = _QUEUE_HOST.sub(endpoint, document)
    ssm.put_parameter(Name=name, Value=document, Type="String", Overwrite=True)
    return document


def _played_here(
    resources: Json, endpoint: str, gateway: str, stack: str, *, exists: bool
) -> dict[str, dict[str, str]]:
    """Make what moto's CloudFormation does not know, and say how the template may refer to it."""
    known: dict[str, dict[str, str]] = {}
    for logical, resource in resources.items():
        match resource["Type"]:
            case "AWS::ApiGatewayV2::Api":
                known[logical] = {"Ref": "local", "ApiEndpoint": gateway}
            case "AWS::ApiGatewayV2::Stage":
                known[logical] = {"Ref": "$default"}
            case "AWS::SecretsManager::Secret":
                arn = _secret(f"{stack}-{logical}", resource["Properties"], endpoint, exists=exists)
                known[logical] = {"Ref": arn, "Id": arn}
    return known


def _secret(name: str, properties: Json, endpoint: str, *, exists: bool) -> str:
    """Create a secret under a name of its own, as CloudFormation does, or find the stack's."""
    secrets = aws.client("secretsmanager", endpoint)
    if exists:
        listed = secrets.list_secrets(Filters=[{"Key": "name", "Values": [f"{name}-"]}])
        newest = max(listed["SecretList"], key=lambda each: each["CreatedDate"])
        found: str = newest["ARN"]
        return found
    text = properties.get("SecretString")
    if text is None:
        recipe = dict(properties["GenerateSecretString"])
        content = json.loads(recipe.pop("SecretStringTemplate"))
        key = recipe.pop("GenerateStringKey")
        content[key] = secrets.get_random_password(**recipe)["RandomPassword"]
        text = json.dumps(content)
    unique = f"{name}-{uuid.uuid4().hex[:12]}"
    created = secrets.create_secret(Name=unique, SecretString=text)
    arn: str = created["ARN"]
    return arn


def _put_placeholder(endpoint: str) -> None:
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    s3 = aws.client("s3", endpoint)
    s3.create_bucket(Bucket=PLACEHOLDER_BUCKET)
    s3.put_object(Bucket=PLACEHOLDER_BUCKET, Key=PLACEHOLDER_KEY, Body=empty.getvalue())


def _skipped(translated: Json, created: Mapping[str, str]) -> dict[str, str]:
    absent = {
        logical: resource
        for logical, resource in translated["Resources"].items()
        if logical not in created
    }
    # What has a condition may be absent because the condition is false.
    unknown = [
        f"{logical} ({resource['Type']})"
        for logical, resource in absent.items()
        if resource["Type"] not in SKIPPED and "Condition" not in resource
    ]
    if unknown:
        raise LocalError(
            "moto did not create: " + ", ".join(sorted(unknown)) + ". Teach local/stack.py what "
            "stands in for it, or say there why the local system can do without."
        )
    return {k: resource["Type"] for k, resource in absent.items() if resource["Type"] in SKIPPED}


def _complete_buckets(
    resources: Json, created: Mapping[str, str], endpoint: str, *, before: Collection[str]
) -> None:
    """Apply what moto's CloudFormation forgets of a new bucket and the code depends on."""
    s3 = aws.client("s3", endpoint)
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::S3::Bucket" or logical not in created:
            continue
        properties, bucket = resource["Properties"], created[logical]
        if bucket in before:
            continue
        if "VersioningConfiguration" in properties:
            s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"]
            )
        if properties.get("ObjectLockEnabled"):
            s3.put_object_lock_configuration(
                Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
            )
        if announced := properties.get("NotificationConfiguration"):
            told: Json = {}
            if "QueueConfigurations" in announced:
                told["QueueConfigurations"] = [
                    {
                        "QueueArn": _queue_arn(each["Queue"], created, endpoint),
                        "Events": [each["Event"]],
                    }
                    for each in announced["QueueConfigurations"]
                ]
            if announced.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled"):
                told["EventBridgeConfiguration"] = {}
            s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)


def _guard_buckets(
    translated: Json, created: Mapping[str, str], parameters: Mapping[str, str], endpoint: str
) -> None:
    """Apply what moto forgets of the safeguards, which the auditor compares with the template."""
    names = symbols(translated, parameters) | dict(created)
    iam, s3 = aws.client("iam", endpoint), aws.client("s3", endpoint)
    for logical, resource in translated["Resources"].items():
        if logical in created and resource["Type"] == "AWS::S3::Bucket":
            names[f"{logical}.Arn"] = f"arn:aws:s3:::{created[logical]}"
        if logical in created and resource["Type"] == "AWS::IAM::Role":
            names[f"{logical}.Arn"] = iam.get_role(RoleName=created[logical])["Role"]["Arn"]
    resolver = Resolver(translated, names)
    for resource in translated["Resources"].values():
        if resource["Type"] == "AWS::S3::BucketPolicy":
            if "Condition" in resource and not resolver.holds(resource["Condition"]):
                continue
            policy = resolver.resolve(resource["Properties"])
            s3.put_bucket_policy(
                Bucket=policy["Bucket"], Policy=json.dumps(policy["PolicyDocument"])
            )
    for logical, resource in translated["Resources"].items():
        if logical in created and resource["Type"] == "AWS::S3::Bucket":
            bucket = resolver.resolve(resource["Properties"])
            s3.put_public_access_block(
                Bucket=created[logical],
                PublicAccessBlockConfiguration=bucket["PublicAccessBlockConfiguration"],
            )
            s3.put_bucket_lifecycle_configuration(
                Bucket=created[logical],
                LifecycleConfiguration={
                    "Rules": [_rule(each) for each in bucket["LifecycleConfiguration"]["Rules"]]
                },
            )


def _rule(said: Json) -> Json:
    """Return a lifecycle rule in S3's own words."""
    rule: Json = {"ID": said["Id"], "Status": said["Status"]}
    tags = said.get("TagFilters", ())
    rule["Filter"] = {"Tag": tags[0]} if tags else {"Prefix": said.get("Prefix", "")}
    if "ExpirationInDays" in said:
        rule["Expiration"] = {"Days": int(said["ExpirationInDays"])}
    if "ExpiredObjectDeleteMarker" in said:
        rule["Expiration"] = {"ExpiredObjectDeleteMarker": said["ExpiredObjectDeleteMarker"]}
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in said:
            rule[name] = said[name]
    return rule


def _queue_arn(value: Json, created: Mapping[str, str], endpoint: str) -> str:
    """Return the ARN that `!GetAtt Queue.Arn` comes to."""
    target = value["Fn::GetAtt"]
    logical = target.partition(".")[0] if isinstance(target, str) else target[0]
    return _arn_of_queue(_reachable(created[logical], endpoint), endpoint)


def _arn_of_queue(url: str, endpoint: str) -> str:
    found = aws.client("sqs", endpoint).get_queue_attributes(
        QueueUrl=url, AttributeNames=["QueueArn"]
    )
    arn: str = found["Attributes"]["QueueArn"]
    return arn


def _functions(
    source: Json,
    created: Mapping[str, str],
    endpoint: str,
    permitted: Mapping[str, Permissions],
    own: dict[str, str],
) -> dict[str, Function]:
    functions = {}
    lambdas = aws.client("lambda", endpoint)
    for logical, resource in source["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        if logical not in created and "Condition" in resource:
            continue
        settings = lambdas.get_function_configuration(FunctionName=created[logical])
        functions[logical] = Function(
            logical=logical,
            name=settings["FunctionName"],
            arn=settings["FunctionArn"],
            code=Path(resource["Properties"]["CodeUri"]),
            handler=settings["Handler"],
            timeout=int(settings["Timeout"]),
            memory=int(settings["MemorySize"]),
            environment={
                name: _reachable(str(value), endpoint)
                for name, value in settings["Environment"]["Variables"].items()
            },
            permissions=permitted[logical],
            own=own,
        )
    return functions


def _own(functions: Mapping[str, Function]) -> dict[str, str]:
    """Return what single functions are told in their environment."""
    return {
        name: function.environment[variable]
        for function in functions.values()
        for variable, name in OWN.items()
        if variable in function.environment
    }


def _sources(created: Mapping[str, str], endpoint: str) -> list[EventSource]:
    logical_of = {physical: logical for logical, physical in created.items()}
    sqs = aws.client("sqs", endpoint)
    sources = []
    mappings = aws.client("lambda", endpoint).list_event_source_mappings()["EventSourceMappings"]
    for mapping in mappings:
        function = logical_of.get(mapping["FunctionArn"].rsplit(":", 1)[1])
        if function is None:
            continue  # another stack's
        arn = mapping["EventSourceArn"]
        scaling = mapping.get("ScalingConfig") or {}
        sources.append(
            EventSource(
                function=function,
                queue_url=sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"],
                queue_arn=arn,
                batch_size=int(mapping["BatchSize"]),
                window=int(mapping.get("MaximumBatchingWindowInSeconds") or 0),
                concurrency=int(scaling.get("MaximumConcurrency") or 2),
                partial="ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or []),
            )
        )
    return sources


def _rules(resources: Json, endpoint: str, stack: str) -> list[Rule]:
    """Lead each rule to a queue instead of its function, which moto does not call."""
    sqs, found = aws.client("sqs", endpoint), []
    for logical, resource in resources.items():
        if resource["Type"] != RULE:
            continue
        [target] = resource["Properties"]["Targets"]
        url = sqs.create_queue(QueueName=f"{stack}-{logical}")["QueueUrl"]
        function = _function_of(logical, target["Arn"])
        target["Arn"] = _arn_of_queue(url, endpoint)
        found.append(Rule(logical=logical, function=function, queue_url=url))
    return found


def _questions(played: Json) -> Json:
    """Return outputs by which moto says what the properties of these resources come to."""
    return {
        _question(logical, name): {"Value": value}
        | ({"Condition": resource["Condition"]} if "Condition" in resource else {})
        for logical, resource in played.items()
        for name, value in _texts(resource).items()
        if value != DOCUMENT
    }


def _question(logical: str, name: str) -> str:
    return f"Local{logical}{name}"


def _texts(resource: Json) -> Json:
    properties: Json = resource["Properties"]
    if resource["Type"] == SCHEDULE:
        target = properties["Target"]
        state = {"State": properties.get("State", "ENABLED")}
        inputs = {"Input": target["Input"]} if "Input" in target else {}
        return {"Expression": properties["ScheduleExpression"], **state, **inputs}
    return {name: value for name, value in properties.items() if name not in NOT_PASSED_ON}


def _schedules(played: Json, answers: Mapping[str, str]) -> list[Schedule]:
    found = []
    for logical, resource in played.items():
        if resource["Type"] != SCHEDULE:
            continue
        said = {name: answers.get(_question(logical, name)) for name in _texts(resource)}
        # A false condition leaves no answer.
        if said["Expression"] is not None and said["State"] == "ENABLED":
            found.append(
                Schedule(
                    logical=logical,
                    function=_function_of(logical, resource["Properties"]["Target"]["Arn"]),
                    expression=said["Expression"],
                    input=said.get("Input"),
                )
            )
    return found


def _customs(played: Json, answers: Mapping[str, str], document: str) -> list[Custom]:
    found = []
    for logical, resource in played.items():
        if not resource["Type"].startswith(CUSTOM):
            continue
        said = {
            name: document if value == DOCUMENT else answers.get(_question(logical, name))
            for name, value in _texts(resource).items()
        }
        properties = {name: value for name, value in said.items() if value is not None}
        if properties:
            found.append(
                Custom(
                    logical=logical,
                    type=resource["Type"],
                    function=_function_of(logical, resource["Properties"]["ServiceToken"]),
                    properties=properties,
                )
            )
    return found


def _function_of(logical: str, arn: Any) -> str:
    match arn:
        case {"Fn::GetAtt": [str(function), "Arn"]}:
            return function
        case {"Fn::GetAtt": str(text)} if text.endswith(".Arn"):
            return text.removesuffix(".Arn")
    raise LocalError(f"{logical} calls no function of this template: {arn}")


def _reachable(value: str, endpoint: str) -> str:
    """Lead a queue's URL, which moto's CloudFormation writes with AWS's own host, to this host."""
    return _QUEUE_HOST.sub(endpoint, value)


def parameters_of(path: Path) -> dict[str, Any]:
    """Read parameter overrides from a JSON file."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
