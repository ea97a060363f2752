"""Creates the stack of the real template in the local AWS, and says what is in it.

What the template does not say does not exist here. What moto cannot do is made good below, one by
one with its reason, or listed in `Stack.skipped`; anything else that is missing is an error.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local import aws
from local.processes import LocalError
from local.template import (
    PLACEHOLDER_BUCKET,
    PLACEHOLDER_KEY,
    TEMPLATE,
    Json,
    Route,
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
}


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
class Stack:
    """What the local AWS holds after the stack was created."""

    functions: dict[str, Function]
    routes: list[Route]
    sources: list[EventSource]
    outputs: dict[str, str]
    skipped: dict[str, str]
    """Logical id → type, of what the local system does without."""


def create(
    endpoint: str,
    *,
    gateway: str,
    parameters: Mapping[str, str],
    template: Path = TEMPLATE,
    name: str = "legato",
) -> Stack:
    """Create the stack and return what is in it. `gateway` is the HTTP API's address."""
    source = read(template)
    translated = translate(source)
    found = routes(translated)
    resources = translated["Resources"]
    known = _played_here(resources, endpoint, gateway, name)
    for logical in known:
        del resources[logical]
    for resource in resources.values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            # moto would invoke the function itself, in Docker. The poller does that.
            resource["Properties"]["Enabled"] = False
    _put_placeholder(endpoint)
    cloudformation = aws.client("cloudformation", endpoint)
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(substitute(translated, known)),
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    created = {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for item in cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        if item.get("PhysicalResourceId")
    }
    skipped = _skipped(translated, created)
    _lock_buckets(resources, created, endpoint)
    description = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return Stack(
        functions=_functions(source, created, endpoint),
        routes=found,
        sources=_sources(created, endpoint),
        outputs={
            output["OutputKey"]: _reachable(output["OutputValue"], endpoint)
            for output in description["Outputs"]
        },
        skipped=skipped,
    )


def _played_here(
    resources: Json, endpoint: str, gateway: str, stack: str
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
                arn = _create_secret(f"{stack}-{logical}", resource["Properties"], endpoint)
                known[logical] = {"Ref": arn, "Id": arn}
    return known


def _create_secret(name: str, properties: Json, endpoint: str) -> str:
    secrets = aws.client("secretsmanager", endpoint)
    recipe = dict(properties["GenerateSecretString"])
    content = json.loads(recipe.pop("SecretStringTemplate"))
    key = recipe.pop("GenerateStringKey")
    content[key] = secrets.get_random_password(**recipe)["RandomPassword"]
    created = secrets.create_secret(Name=name, SecretString=json.dumps(content))
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


def _lock_buckets(resources: Json, created: Mapping[str, str], endpoint: str) -> None:
    """Apply what moto's CloudFormation forgets of a bucket and the code depends on."""
    s3 = aws.client("s3", endpoint)
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::S3::Bucket":
            continue
        properties, bucket = resource["Properties"], created[logical]
        if "VersioningConfiguration" in properties:
            s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"]
            )
        if properties.get("ObjectLockEnabled"):
            s3.put_object_lock_configuration(
                Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
            )


def _functions(source: Json, created: Mapping[str, str], endpoint: str) -> dict[str, Function]:
    functions = {}
    lambdas = aws.client("lambda", endpoint)
    for logical, resource in source["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
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
        )
    return functions


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


def _reachable(value: str, endpoint: str) -> str:
    """Lead a queue's URL, which moto's CloudFormation writes with AWS's own host, to this host."""
    return re.sub(r"^https://sqs\.[a-z0-9-]+\.amazonaws\.com(?=/)", endpoint, value)


def parameters_of(path: Path) -> dict[str, Any]:
    """Read parameter overrides from a JSON file."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
