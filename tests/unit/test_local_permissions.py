"""local/permissions.py reads a role's policies wherever they stand, however they are written."""

from __future__ import annotations

import pytest

from local.permissions import Asked, Denied, Grant, Permissions, permissions


def statement(effect, action, **said):
    return {"Sid": "Tried", "Effect": effect, "Action": action, **said}


def policy(kind, *statements, **said):
    return {"Type": kind, "Properties": {"PolicyDocument": {"Statement": [*statements]}, **said}}


def role_with(statements, **resources) -> Permissions:
    """Return what a function may do whose role has these statements, and refers to `Shared`."""
    role = {
        "Policies": [{"PolicyDocument": {"Statement": statements}}],
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"]
        + [{"Ref": name} for name in resources if name == "Shared"],
    }
    found = permissions(
        {
            "Resources": {
                "Tried": {"Type": "AWS::Lambda::Function", "Properties": {}},
                "TriedRole": {"Type": "AWS::IAM::Role", "Properties": role},
                **resources,
            }
        },
        {},
    )
    return found["Tried"]


def test_each_action_of_a_list_is_a_grant_of_its_own():
    both = statement("Allow", ["s3:GetObject", "s3:PutObject"], Resource="arn:Bucket/a/*")
    role = role_with([both])
    assert role.grants() == {
        Grant("Tried", "s3:GetObject", "arn:Bucket/a/*"),
        Grant("Tried", "s3:PutObject", "arn:Bucket/a/*"),
    }
    assert role.check(Asked("s3:PutObject", "arn:Bucket/a/1")) == {
        Grant("Tried", "s3:PutObject", "arn:Bucket/a/*")
    }


def test_what_is_granted_to_a_role_counts_wherever_it_stands():
    """In its own block, in a policy that names it, and in one that it names."""
    role = role_with(
        [statement("Allow", "kms:Sign", Resource="arn:Own")],
        Shared=policy(
            "AWS::IAM::ManagedPolicy", statement("Allow", "kms:Sign", Resource="arn:Shared")
        ),
        Attached=policy(
            "AWS::IAM::Policy",
            statement("Allow", "kms:Sign", Resource="arn:Attached"),
            Roles=[{"Ref": "TriedRole"}],
        ),
        Others=policy(
            "AWS::IAM::ManagedPolicy", statement("Allow", "kms:Sign", Resource="arn:Others")
        ),
    )
    assert {each.resource for each in role.grants()} == {"arn:Own", "arn:Shared", "arn:Attached"}


def test_what_a_role_is_refused_no_grant_brings_back():
    """Elsewhere than there where it is left to it."""
    role = role_with(
        [
            statement("Allow", "s3:GetObject", Resource="arn:Bucket/*"),
            statement("Deny", ["s3:GetObject"], NotResource="arn:Bucket/open/*"),
        ]
    )
    assert role.check(Asked("s3:GetObject", "arn:Bucket/open/1"))
    with pytest.raises(Denied, match="Tried"):
        role.check(Asked("s3:GetObject", "arn:Bucket/1"))
    assert role.grants() == {Grant("Tried", "s3:GetObject", "arn:Bucket/*")}
