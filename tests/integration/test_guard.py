"""What the template does not grant is refused before it is sent, and what was used is known."""

import uuid

import botocore.session
import pytest
from botocore.exceptions import ClientError

from local.guard import USED, Guard, read_used
from local.permissions import Grant, Permissions

ALLOWED = [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:Bucket/open/*"},
    {
        "Effect": "Allow",
        "Action": "dynamodb:PutItem",
        "Resource": "arn:Table",
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["mine#*", "also#*"]}},
    },
]
LISTING = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:Bucket"}


@pytest.fixture
def guarded(own_client, bucket, table, tmp_path, request):
    """Return a function that makes clients which may do what is allowed, and no more."""
    more = getattr(request, "param", [])
    permissions = Permissions(function="Tried", allowed=[*ALLOWED, *more], policies={}, fed=False)
    session = botocore.session.Session()
    own = {bucket: "Bucket", table: "Table"}
    Guard(permissions, own, tmp_path / f"tried{USED}").watch(session)
    return session.create_client


def refusal(error):
    return error.value.response["Error"]["Code"]


def test_what_is_granted_is_sent_and_noted(guarded, bucket, table, tmp_path, aws_client):
    aws_client("s3").put_object(Bucket=bucket, Key="open/a", Body=b"a")
    guarded("s3").get_object(Bucket=bucket, Key="open/a")
    item = {"pk": {"S": "mine#1"}, "sk": {"S": "note"}}
    guarded("dynamodb").put_item(TableName=table, Item=item)
    assert read_used(tmp_path) == {
        Grant("Tried", "s3:GetObject", "arn:Bucket/open/*"),
        Grant("Tried", "dynamodb:PutItem", "arn:Table"),
        Grant("Tried", "dynamodb:PutItem", "arn:Table", "mine#*"),
    }


@pytest.mark.attacks("a function writes an item that is none of its business")
def test_what_is_not_granted_is_never_sent(guarded, table, aws_client):
    item = {"pk": {"S": f"hold#{uuid.uuid4()}"}, "sk": {"S": "note"}}
    with pytest.raises(ClientError) as error:
        guarded("dynamodb").put_item(TableName=table, Item=item)
    assert refusal(error) == "AccessDenied"
    assert "Item" not in aws_client("dynamodb").get_item(TableName=table, Key=item)


def test_one_wrong_item_of_a_transaction_is_enough(guarded, table):
    items = [{"pk": {"S": pk}, "sk": {"S": "note"}} for pk in ("mine#1", "hold#1")]
    with pytest.raises(ClientError, match="hold#1"):
        guarded("dynamodb").transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": item}} for item in items]
        )


def test_a_request_that_nobody_knows_is_refused(guarded, table):
    """Whoever makes it says first what AWS asks for it."""
    with pytest.raises(ClientError, match="in no table of"):
        guarded("dynamodb").scan(TableName=table)


@pytest.mark.parametrize(
    ("guarded", "says"), [([], "AccessDenied"), ([LISTING], "404")], indirect=["guarded"]
)
def test_s3_says_that_nothing_is_there_to_who_may_list(guarded, bucket, says):
    with pytest.raises(ClientError) as error:
        guarded("s3").head_object(Bucket=bucket, Key="open/nothing")
    assert refusal(error) == says
