"""Where the stack is: in an AWS account, or in the system that runs on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legato.errors import Failed, NoStack, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.app.deployed import Deployed
    from legato.app.own_api import AccessRecorder, Holder
    from legato.app.root import App
    from legato.archive.evidence import Evidence
    from legato.audio.stitch import FfmpegStitcher
    from legato.aws.catalogue import DynamoCatalogue
    from legato.aws.ledger import DynamoLedger
    from legato.aws.library import S3Library
    from legato.discovery.push_addresses import PushAddresses
    from legato.evidence.cases import Spellings
    from legato.evidence.legal_hold import Held
    from legato.evidence.verify.keys import PublicKey
    from legato.model import CallId
    from legato.operations.backfill import Backfill
    from legato.operations.catalogue_rebuild import Days, Rebuilt
    from legato.operations.failures import FailedCalls
    from legato.operations.ledger_rebuild import Remade
    from legato.operations.overview import Overview
    from legato.operations.past import Reconciling
    from legato.ports import Accesses
    from legato.retrieval.export.package import Exporting
    from legato.retrieval.restore.survey import Restoring
    from legato.setup.deploy import Checkout, Deployer
    from legato.setup.findings import Finding

# Each method loads what it needs: a search is over sooner than all of AWS and all providers are
# loaded.

ENDPOINTS = Path(".local") / "endpoints.json"
BUILT = Path(__file__).parents[3] / "ffmpeg" / "build" / "bin"
"""Where a checkout builds its ffmpeg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Puts together what a command works with, from exactly what the stack's functions are told."""

    stack: str
    local: bool = False
    profile: str | None = None
    _known: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def backfill(
        self, provider: str, *, begin: datetime, end: datetime | None, sources: Sequence[str]
    ) -> Backfill:
        """Return what a backfill of a provider needs. Raises as its backfiller does."""
        return self._app().provider(provider).backfill(begin=begin, end=end, sources=sources)

    def reconciling(
        self, *, begin: datetime, end: datetime, providers: Sequence[str], report_only: bool
    ) -> Reconciling:
        """Return what a reconciliation needs. Raises as reconciling_by_hand does."""
        return self._app().reconciling_by_hand(
            begin=begin, end=end, providers=providers, report_only=report_only
        )

    def failed_calls(self, *, providers: Sequence[str]) -> FailedCalls:
        """Return the failed calls of these providers, or of all."""
        return self._app().failed_calls(providers)

    def pushing(self) -> PushAddresses:
        """Return what Kazoo's push URLs are made with. Raises as pushing does."""
        made = self._app().kazoo.pushing(self._outputs().get("KazooPushUrl", ""))
        self._address("KazooPushUrl")
        return made

    def deployed(self) -> Deployed:
        """Return the stack as who deploys it sees it, whether it is there or not."""
        from legato.app.deployed import Deployed

        return Deployed(self.stack)

    def deployer(self) -> Deployer:
        """Return who deploys. Raises Refused without a checkout, a region or a local system."""
        from legato.app.local_deployer import LocalDeployer
        from legato.setup.deploy import SamDeployer, find_checkout

        here = Path.cwd()
        if self.local:
            control = _running().get("control")
            if not control:
                raise NoStack(
                    "the local system that runs cannot deploy: start it with `make local`"
                )
            return LocalDeployer(str(control), find_checkout(here))
        checkout, deployed = find_checkout(here), self.deployed()
        return SamDeployer(
            checkout=checkout,
            stack=self.stack,
            region=self._region(checkout),
            profile=self.profile,
            invoke=deployed.keep,
        )

    def _region(self, checkout: Checkout) -> str:
        """Return the region of AWS's clients, which is that of samconfig.toml if none is set.

        Raises Refused without any.
        """
        from legato.aws.stack import region
        from legato.setup.samconfig import settings

        if not region() and (last := settings(checkout.samconfig).get("region")):
            use(None, region=str(last), profile=None)
        if not (found := region()):
            raise Refused("no AWS region is set: give --region, or set AWS_REGION")
        return found

    def holder(self) -> Holder:
        """Return who holds and releases calls. Raises Failed if the stack has nobody."""
        from legato.app.own_api import Holder

        return Holder(self._address("HoldsUrl"))

    def holds(self, *, case: str | None) -> list[Held]:
        """Return all holds, or those of a case. Raises Refused if the stack has no ledger."""
        from legato.clock import SystemClock
        from legato.evidence.legal_hold import holds

        return holds(self._ledger(), SystemClock(), case=case)

    def holds_of(self, call: CallId) -> list[Held]:
        """Return the holds of one call. Raises as holds."""
        from legato.evidence.legal_hold import holds_of

        return holds_of(call, self._ledger())

    def known_calls(self, text: str) -> list[CallId]:
        """Return the calls that an address or an id may mean, archived or not yet."""
        from legato.evidence.legal_hold import known_calls

        ledger = self._ledger()
        return known_calls(text, ledger, ledger)

    def spellings(self, case: str) -> Spellings:
        """Return what is known of a case's name. Raises Refused if the stack has no ledger."""
        from legato.aws.clients import client
        from legato.aws.ledger import DynamoLedger
        from legato.clock import SystemClock
        from legato.evidence.cases import AT_ONCE, spellings

        ledger = DynamoLedger(client("dynamodb"), table=self._ledger_table(), at_once=AT_ONCE)
        return spellings(case, ledger, SystemClock())

    def recorder(self) -> AccessRecorder:
        """Return who writes the access log. Raises Failed if the stack has nobody."""
        from legato.app.own_api import AccessRecorder

        return AccessRecorder(self._address("AccessUrl"))

    def accesses(self) -> Accesses:
        """Return the access log, to be read. Raises Refused if the stack has no ledger."""
        from legato.aws.accesses import DynamoAccesses
        from legato.aws.clients import client

        return DynamoAccesses(client("dynamodb"), table=self._ledger_table())

    def catalogue(self) -> DynamoCatalogue:
        """Return the catalogue, to be searched. Raises Refused if the stack has no ledger."""
        from legato.aws.catalogue import DynamoCatalogue
        from legato.aws.clients import client

        return DynamoCatalogue(client("dynamodb"), table=self._ledger_table())

    def rebuild(self, *, days: Days | None, tell: Callable[[Rebuilt], None]) -> tuple[Rebuilt, int]:
        """Make the catalogue and the look-up of the access log anew; return what came of it.

        With `days` no more than theirs. Raises Refused if the stack has no archive, Retry.
        """
        from legato.operations.catalogue_rebuild import rebuild, rebuild_accesses

        library = self.library()
        rebuilt = rebuild(library, self.catalogue(), self._ledger(), days=days, tell=tell)
        return rebuilt, rebuild_accesses(library, self.accesses(), days=days)

    def rebuild_ledger(self, *, tell: Callable[[Remade], None]) -> Remade:
        """Make the ledger anew, and the catalogue with it; return what came of it.

        Raises Refused if the stack has no archive, Retry.
        """
        from legato.aws.bucket import S3Archive
        from legato.aws.clients import client
        from legato.clock import SystemClock
        from legato.operations.ledger_rebuild import LedgerRebuild

        ledger = self._ledger()
        work = LedgerRebuild(
            library=self.library(),
            marked=S3Archive(client("s3"), bucket=self._bucket()),
            ledger=ledger,
            notes=ledger,
            clock=SystemClock(),
        )
        report = work.run(tell=tell)
        self.rebuild(days=None, tell=lambda _: None)
        return report

    def library(self) -> S3Library:
        """Return the archive's bucket, to be read. Raises Refused if the stack has none."""
        from legato.aws.clients import client
        from legato.aws.library import LINKING, S3Library

        return S3Library(client("s3", read_timeout=60, **LINKING), bucket=self._bucket())

    def stitcher(self) -> FfmpegStitcher:
        """Return who joins legs, with the ffmpeg that was built here, or one of the PATH.

        Raises Failed if there is none.
        """
        from legato.audio.ffmpeg import find_tools
        from legato.audio.stitch import FfmpegStitcher

        try:
            return FfmpegStitcher(find_tools([BUILT, *map(Path, os.get_exec_path())]))
        except Failed as error:
            raise Failed(
                "to join the legs of a call takes ffmpeg: install it, or fetch each "
                "leg by itself with --legs"
            ) from error

    def exporting(
        self, *, known: Sequence[PublicKey], tell: Callable[[str, int, int], None]
    ) -> Exporting:
        """Return what calls are exported with. Raises Refused if the stack has no archive."""
        from legato.retrieval.download import Downloading
        from legato.retrieval.export.package import Exporting

        return Exporting(
            work=Downloading(library=self.library(), stitcher=self.stitcher),
            accesses=self.accesses(),
            recorder=self.recorder(),
            known=known,
            tell=tell,
        )

    def restoring(self) -> Restoring:
        """Return what restores are asked for with. Raises Refused if the stack has no archive."""
        from legato.clock import SystemClock
        from legato.retrieval.restore.survey import Restoring

        return Restoring(library=self.library(), notes=self._ledger(), clock=SystemClock())

    def evidence(self) -> Evidence:
        """Return the archive's bucket, to be verified. Raises Refused if the stack has none."""
        from legato.aws.clients import client
        from legato.aws.evidence import S3Evidence
        from legato.aws.stack import parameters

        locked = parameters(self.stack).get("RetentionMode", "NONE") != "NONE"
        return S3Evidence(client("s3", read_timeout=60), bucket=self._bucket(), locked=locked)

    def overview(self) -> Overview:
        """Return what the state of the system is told from. Raises as failures does."""
        return self._app().overview()

    def findings(self, *, sleep: Callable[[float], None]) -> Iterator[Finding]:
        """Yield what is found where everything is tried out. Raises as check_stack."""
        from legato.app.checks import check_stack

        return check_stack(stack=self.stack, sleep=sleep)

    def signing_key(self) -> bytes:
        """Return the public key of digests in PEM, as KMS has it. Raises Refused, Failed, Retry."""
        from legato.aws.clients import client
        from legato.aws.signer import KmsSigner

        key_id = self._outputs().get("SigningKeyId")
        if key_id is None:
            raise Refused(f"the stack {self.stack} does not name its key")
        return KmsSigner(client("kms"), key_id=key_id).public_key()

    def _app(self) -> App:
        """Return what the stack's functions work with. Raises Failed, Retry."""
        from legato.app.root import App
        from legato.aws.parameter import parameter
        from legato.config import configuration
        from legato.settings import BadSettings

        document = parameter(self._address("ConfigParameterName"))
        try:
            return App(configuration(document))
        except BadSettings as error:
            raise self._another_version(error) from error

    def _ledger(self) -> DynamoLedger:
        from legato.aws.clients import client
        from legato.aws.ledger import DynamoLedger

        return DynamoLedger(client("dynamodb"), table=self._ledger_table())

    def _ledger_table(self) -> str:
        return self._output("LedgerTableName", "ledger")

    def _bucket(self) -> str:
        return self._output("ArchiveBucketName", "archive")

    def _output(self, name: str, what: str) -> str:
        found = self._outputs().get(name)
        if found is None:
            raise NoStack(f"the stack {self.stack} has no {what}: name another one with --stack")
        return found

    def _address(self, name: str) -> str:
        found = self._outputs().get(name)
        if found is None:
            raise self._another_version(f"it has no {name}")
        return found

    def _outputs(self) -> dict[str, str]:
        """Return the stack's outputs, which are asked for once."""
        from legato.aws.stack import outputs

        if not self._known:
            self._known.update(outputs(self.stack))
        return self._known

    def _another_version(self, error: Exception | str) -> NoStack:
        return NoStack(
            f"the stack {self.stack} was deployed from another version ({error}): deploy this one, "
            "or use that one's command"
        )


def local_system() -> dict[str, str]:
    """Return what leads AWS clients to the running local system. Raises Refused if none runs."""
    endpoints = _running()
    return {
        "AWS_ENDPOINT_URL": endpoints["aws"],
        "AWS_REGION": endpoints["region"],
        "AWS_DEFAULT_REGION": endpoints["region"],
        # Two people are needed to release a call, and the local system knows them by this.
        "AWS_ACCESS_KEY_ID": os.environ.get("LEGATO_LOCAL_PERSON") or "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        # Your own profile and session must not slip in.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PROFILE": "",
        "AWS_SESSION_TOKEN": "",
    }


def _running() -> dict[str, Any]:
    found = _endpoints()
    try:
        endpoints: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise NoStack(
            f"no local system runs ({found} names none): start it with `make local`, or name its "
            "directory in LEGATO_LOCAL_DIR"
        ) from None
    return endpoints


def variables(names: Sequence[str]) -> dict[str, str]:
    """Return those of these variables of the environment that say something."""
    return {name: value for name in names if (value := os.environ.get(name))}


def use(local: Mapping[str, str] | None, *, region: str | None, profile: str | None) -> None:
    """Lead this process's AWS clients there; what is not said is left as it is."""
    wanted = dict(local or {})
    # botocore itself reads AWS_DEFAULT_REGION only.
    region = region or (None if local else os.environ.get("AWS_REGION"))
    if region:
        wanted |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if profile:
        wanted["AWS_PROFILE"] = profile
    for name, value in wanted.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def without_aws() -> dict[str, str]:
    """Return the environment for somebody else's program, which AWS is no business of."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _endpoints() -> Path:
    """Return LEGATO_LOCAL_DIR's file, or the one of this directory or the nearest above it."""
    given = os.environ.get("LEGATO_LOCAL_DIR")
    if given:
        return Path(given) / ENDPOINTS.name
    here = Path.cwd()
    candidates = [folder / ENDPOINTS for folder in (here, *here.parents)]
    return next((path for path in candidates if path.exists()), candidates[0])
