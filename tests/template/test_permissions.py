"""The functions may do what the code does, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.template.test_template import statements

if TYPE_CHECKING:
    from tests.template.conftest import Template

# What only the operator's command calls, with the operator's own permissions.
BY_HAND = {"dead_letters.py", "evidence.py", "library.py", "depth.py"}
BY_SAM = {"delete_message"}  # a function that a queue feeds may delete what it received
ADAPTERS = Path(__file__).parent.parent.parent / "layers" / "shared" / "legato" / "aws"
CALL = re.compile(r"self\._(s3|sqs|sns|dynamodb|secrets|kms)\s*\.\s*(?:get_paginator\(\s*\")?(\w+)")
# What AWS asks for each call. S3 names its actions after objects, not after requests.
ACTIONS = {
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "head_object": "s3:GetObject",
    "get_object": "s3:GetObjectVersion",  # always by version id
    "get_object_legal_hold": "s3:GetObjectLegalHold",
    "put_object_legal_hold": "s3:PutObjectLegalHold",
    "list_object_versions": "s3:ListBucketVersions",
    "put_object_tagging": "s3:PutObjectVersionTagging",  # always by version id
    "list_objects_v2": "s3:ListBucket",
    "send_message": "sqs:SendMessage",
    "change_message_visibility_batch": "sqs:ChangeMessageVisibility",
    "publish": "sns:Publish",
    "get_item": "dynamodb:GetItem",
    "put_item": "dynamodb:PutItem",
    "transact_write_items": "dynamodb:PutItem",  # of which alone it consists
    "batch_get_item": "dynamodb:BatchGetItem",
    "batch_write_item": "dynamodb:BatchWriteItem",
    "query": "dynamodb:Query",  # of an index, which is a resource of its own
    "sign": "kms:Sign",
    "get_public_key": "kms:GetPublicKey",
    "get_secret_value": "secretsmanager:GetSecretValue",
    "put_secret_value": "secretsmanager:PutSecretValue",
}

# What S3 asks for a write that says how its object is locked.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
HEADERS = {
    "ObjectLockMode": "s3:PutObjectRetention",
    "ObjectLockLegalHoldStatus": "s3:PutObjectLegalHold",
}


def test_granted_is_exactly_what_is_called(sam: Template) -> None:
    called = {
        ACTIONS[call]
        for path in ADAPTERS.glob("*.py")
        if path.name not in BY_HAND
        for _client, call in CALL.findall(path.read_text())
        if call not in BY_SAM
    }
    texts = "".join(path.read_text() for path in ADAPTERS.glob("*.py"))
    called |= {action for header, action in HEADERS.items() if f'"{header}"' in texts}
    granted = {statement["Action"] for _logical, statement in statements(sam.functions)}
    # S3 asks for these in the caller's name, where the buckets have a key of their own.
    by_s3 = {"kms:Decrypt", "kms:GenerateDataKey"}
    assert granted - by_s3 == called
