"""Why AWS refuses a person at the command, and what to do about it, in words of ours.

A profile, a region, a sign-in, a network, a permission: each has its own next step, and none of
them is the fault of a call. tests/unit/test_cli_errors.py has what is said of each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore import exceptions
from botocore.exceptions import ClientError

from legato.aws.clients import session
from legato.aws.errors import BROKEN, code
from legato.errors import Failed, NoStack, NotPermitted, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.errors import LegatoError

_FORBIDDEN = {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_ACTIONS = {
    "GetObject": "s3:GetObjectVersion",
    "HeadObject": "s3:GetObjectVersion",
    "ListObjectVersions": "s3:ListBucketVersions",
    "RestoreObject": "s3:RestoreObject",
}
"""Of operations on the archive, for which S3 does not always name the permission: a HEAD says
nothing but 403. https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
"""
_DENIED = re.compile(r"perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>\S+))?")
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_UNACCEPTED = {
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_CLOCK = {"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}
_CLOCK_WORDS = re.compile("signature (?:has )?expired|signature not yet current", re.IGNORECASE)
_GONE = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "NotFoundException",
    "ParameterNotFound",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
}
_KEY = re.compile(r"KMS.*(?:Disabled|InvalidState)|DisabledException|InaccessibleEncryption")
_KEY_WORDS = re.compile("is (?:disabled|pending deletion)", re.IGNORECASE)
_THROTTLED = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_SIGN_IN = (
    exceptions.LoginError,
    exceptions.NoAuthTokenError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_UNREAD = (
    exceptions.CredentialRetrievalError,
    exceptions.MetadataRetrievalError,
    exceptions.PartialCredentialsError,
    exceptions.RefreshWithMFAUnsupportedError,
)
_NETWORK = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
)


def refusal(error: BaseException | None) -> LegatoError | None:
    """Return what a person has to do before AWS answers, or None if it is no such error.

    Errors of ours are looked through to what caused them.
    """
    for cause in _causes(error):
        if isinstance(cause, ClientError):
            return _refused(cause)
        if isinstance(cause, exceptions.BotoCoreError):
            return _unready(cause)
    return None


def passing(error: BaseException | None) -> Unavailable | None:
    """Return what to check while AWS does not answer, or None if it is no such error."""
    for cause in _causes(error):
        if isinstance(cause, ClientError):
            throttled = code(cause) in _THROTTLED
            said = "AWS takes no more requests now (throttled): wait a minute"
            return Unavailable(said) if throttled else None
        if isinstance(cause, _NETWORK):
            return Unavailable(_unreached(cause))
    return None


def unanswered(error: BaseException) -> LegatoError | None:
    """Return what an error of AWS's own libraries comes to, or None if it is no such error."""
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
        return Refused(f"{error}: check AWS_ENDPOINT_URL and your AWS configuration")
    if not isinstance(error, (ClientError, *BROKEN)):
        return None
    return (
        refusal(error)
        or passing(error)
        or Unavailable(
            f"this is no answer of AWS ({_line(error)}): check the network, the proxy and "
            "AWS_ENDPOINT_URL"
        )
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _unready(error: exceptions.BotoCoreError) -> LegatoError | None:
    """Return what is wrong before AWS was asked, or None if the network is."""
    profile = session().profile
    of = f" --profile {profile}" if profile else ""
    if isinstance(error, exceptions.ProfileNotFound):
        name = error.kwargs["profile"]
        return Refused(f"there is no AWS profile {name}: `aws configure list-profiles` lists them")
    if isinstance(error, exceptions.NoRegionError):
        return Refused("no AWS region is set: give --region, or set AWS_REGION")
    if isinstance(error, exceptions.InvalidRegionError):
        return Refused(
            f"{error.kwargs['region_name']!r} is no AWS region: check --region and the profile"
        )
    if isinstance(error, exceptions.LoginError):
        return NotPermitted(f"you are not signed in to AWS: run `aws login{of}` ({_line(error)})")
    if isinstance(error, _SIGN_IN):
        return NotPermitted(
            f"you are not signed in to AWS, or no longer: run `aws sso login{of}` ({_line(error)})"
        )
    if isinstance(error, exceptions.NoCredentialsError):
        return NotPermitted(
            "no AWS credentials: log in with `aws sso login` or `aws configure`, or give --profile"
        )
    if isinstance(error, _UNREAD):
        return NotPermitted(
            f"no AWS credentials ({_line(error)}): log in, or choose another --profile"
        )
    if isinstance(error, exceptions.EndpointConnectionError):
        return _no_region(error)
    if isinstance(error, _NETWORK):
        return None
    return Refused(f"{_line(error)}: check --region, --profile and your AWS configuration")


def _no_region(error: exceptions.EndpointConnectionError) -> Refused | None:
    """Return that a region is none, if botocore knows of none with this name."""
    region = session().get_config_variable("region")
    partitions = session().get_available_partitions()
    known = [
        each
        for partition in partitions
        for each in session().get_available_regions("cloudformation", partition)
    ]
    host = urlsplit(str(error.kwargs.get("endpoint_url"))).hostname or ""
    if region is None or region in known or f".{region}." not in host:
        return None
    from difflib import get_close_matches

    close = get_close_matches(region, known, n=2)
    meant = f": did you mean {' or '.join(close)}?" if close else ": check --region"
    return Refused(f"no AWS region {region} is known, and {host} cannot be reached{meant}")


def _unreached(error: exceptions.BotoCoreError) -> str:
    """Say what does not answer, and what to check."""
    said = error.kwargs
    where = said.get("endpoint_url") or said.get("proxy_url") or ""
    host = urlsplit(str(where)).hostname or "AWS"
    if isinstance(error, exceptions.ProxyConnectionError):
        return f"the proxy {host} does not answer: check HTTPS_PROXY and NO_PROXY"
    if isinstance(error, exceptions.SSLError):
        return (
            f"the TLS connection to {host} failed: if a proxy inspects it, name its certificate in "
            "AWS_CA_BUNDLE; else check the clock and the network"
        )
    if isinstance(error, (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError)):
        return f"{host} does not answer in time: check the network and HTTPS_PROXY"
    if isinstance(error, exceptions.EndpointConnectionError):
        return f"{host} cannot be reached: check the network, DNS and HTTPS_PROXY"
    return f"the connection to {host} broke off ({type(error).__name__}): check the network"


def _refused(error: ClientError) -> LegatoError | None:
    words = error.response.get("Error", {}).get("Message", "")
    what = code(error)
    if _KEY.search(what) or (what in _FORBIDDEN and _KEY_WORDS.search(words)):
        return Failed(
            f"a KMS key of the stack cannot be used ({what}: {_short(words)}): enable it with "
            "`aws kms enable-key`, or first cancel its deletion with `aws kms cancel-key-deletion`"
        )
    if what in _FORBIDDEN:
        return NotPermitted(_forbidden(error, words))
    if what in _CLOCK or _CLOCK_WORDS.search(words):
        return NotPermitted(
            f"this machine's clock is wrong, says AWS ({what}): set it, and run the command again"
        )
    if what in _EXPIRED:
        return NotPermitted(
            f"your AWS session has expired ({what}): log in again, as with `aws sso login`"
        )
    if what in _UNACCEPTED:
        return NotPermitted(
            f"AWS does not accept the credentials ({what}): log in again, or give --profile"
        )
    if what in _GONE:
        return NoStack(
            f"something of the stack is gone ({error.operation_name}: {what}): deploy it again, or "
            "name another one with --stack, --region and --profile"
        )
    return None


def _forbidden(error: ClientError, words: str) -> str:
    """Name the action, and on what, as AWS names them."""
    found = _DENIED.search(words)
    operation = error.operation_name
    action = found["action"] if found else _ACTIONS.get(operation, operation)
    on = f" on {found['resource']}" if found and found["resource"] not in (None, "*") else ""
    explicit = " by an explicit deny" if "explicit deny" in words else ""
    return (
        f"AWS does not permit {action}{on}{explicit}: docs/permissions.md lists what the command "
        "needs"
    )


def _line(error: BaseException) -> str:
    return _short(str(error).rstrip(".: "))


def _short(text: str) -> str:
    """Return the beginning of a text that somebody else has written, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"
