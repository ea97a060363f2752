"""A stack as who deploys it sees it: what it was given, its secret, and whether calls arrive."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.app import checks
from legato.aws import functions, stack
from legato.aws.catalogue import DynamoCatalogue
from legato.aws.clients import client
from legato.aws.remains import Remains
from legato.aws.secret import CREDENTIALS, Secret
from legato.catalogue.index import Query
from legato.errors import NoStack, Refused, Unavailable
from legato.model import PROVIDERS
from legato.settings import BadSettings, read
from legato.tuning import DEFAULTS, Tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from legato.catalogue.index import Row
    from legato.model import Json
    from legato.setup.choices import Decided
    from legato.setup.findings import Finding

NONE = ("", "REVIEW_IN_PROGRESS")
"""Nothing was created yet."""
BROKEN = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html"""
LOOK_SECONDS = 10
LONGEST_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Deployed:
    """One stack by its name, in this process's account and region."""

    name: str

    def parameters(
        self, *, tell: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
    ) -> dict[str, str] | None:
        """Return what the stack was deployed with, None without one.

        Waits for a deployment that runs, as one that was interrupted here. Raises Refused for a
        stack that was never whole, Unavailable if the wait takes too long.
        """
        for waited in range(0, LONGEST_SECONDS, LOOK_SECONDS):
            now = stack.state(self.name)
            if now in NONE:
                return None
            if now in BROKEN:
                raise Refused(
                    f"the stack {self.name} is {now}: delete it with `legato uninstall`, and run "
                    "the same command again"
                )
            if not now.endswith("_IN_PROGRESS"):
                return stack.parameters(self.name)
            if not waited:
                tell(f"The stack {self.name} is {now}: waiting for its end.")
            sleep(LOOK_SECONDS)
        raise Unavailable(f"the stack {self.name} is still being changed")

    def given(self) -> dict[str, str]:
        """Return what the stack was deployed with, whatever its state is. Raises NoStack."""
        return stack.parameters(self.name)

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs. Raises NoStack."""
        return stack.outputs(self.name)

    def remains(self) -> Remains:
        """Return what would stay of the stack. Raises NoStack."""
        return Remains(self.outputs())

    def credentials(self) -> Json:
        """Return what the secret holds now. Raises NoStack, Retry."""
        return self._secret().read()

    def fill(self, content: Json) -> None:
        """Write the secret. Raises NoStack, Retry."""
        self._secret().write(content)

    def _secret(self) -> Secret:
        arn = self.outputs().get("CredentialsArn")
        if arn is None:
            raise NoStack(f"the stack {self.name} names no secret for credentials")
        return Secret(client("secretsmanager"), arn=arn, name=CREDENTIALS)

    def keep(self, event: Json) -> Json:
        """Run the keeper of RingEX's subscription. Raises NoStack, Unavailable, Failed."""
        name = self.outputs().get("KeeperFunctionName")
        if name is None:
            raise NoStack(f"the stack {self.name} keeps no subscription")
        return functions.invoke(name, event)

    def newest(self, provider: str) -> Row | None:
        """Return the newest call of a provider that is archived, or None. Raises Retry."""
        table = self.outputs()["LedgerTableName"]
        catalogue = DynamoCatalogue(client("dynamodb"), table=table)
        rows = catalogue.find(Query(provider=provider), limit=1, cursor=None).rows
        return rows[0] if rows else None

    def check(
        self, decided: Decided, provider: str, parameters: Mapping[str, str]
    ) -> Iterator[Finding]:
        """Check what was decided for a provider. `parameters` are those of the deployment."""
        tuning = tuned(parameters.get("Tuning", "{}"))
        credential = decided.secret_of(provider)
        said = decided.parameters()
        match provider:
            case "ringex":
                yield from checks.check_ringex(
                    credential,
                    url=tuning.ringex_url,
                    deletes=parameters.get("DeleteAtSource") in ("true", "ringex"),
                    tuning=tuning,
                )
            case "ringcx":
                yield from checks.check_ringcx(
                    credential,
                    sub_account_ids=_names(said["RingcxSubAccountIds"]),
                    platform=tuning.ringex_url,
                    url=tuning.ringcx_url,
                    account_id=tuning.ringcx_account_id,
                    tuning=tuning,
                )
            case "kazoo":
                yield from checks.check_kazoo(
                    credential,
                    url=said["KazooUrl"],
                    account_ids=_names(said["KazooAccountIds"]),
                    tuning=tuning,
                )
            case _:
                raise Refused(f"{provider!r} is not one of {', '.join(PROVIDERS)}")

    def check_aws(self, parameters: Mapping[str, str]) -> Iterator[Finding]:
        """Check AWS before a deployment with these parameters."""
        yield from checks.check_aws(stack=self.name, parameters=parameters)


def tuned(document: str) -> Tuning:
    """Read the parameter Tuning. Raises Refused."""
    try:
        said = json.loads(document)
        return read(Tuning, said) if said else DEFAULTS
    except (ValueError, AttributeError, TypeError, BadSettings) as error:
        raise Refused(f"the parameter Tuning is wrong: {error}") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
