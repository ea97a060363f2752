"""A reseller with many accounts, and sub-accounts: found, swept and kept apart by themselves.

LEGATO_ACCOUNTS=500 tries as many; there is a sub-account for each ten of them.
"""

import json
import os
from datetime import UTC, datetime, timedelta

import httpx

from local import aws
from local.kazoo import ACCOUNTS
from local.system import running
from tests.forked import legato
from tests.patience import until

RESELLER = ACCOUNTS[0]
ACCOUNTS_TRIED = int(os.environ.get("LEGATO_ACCOUNTS", "100"))
CUSTOMERS = [f"{number:032x}" for number in range(1, ACCOUNTS_TRIED)]
LATE = "f" * 32
SUB_ACCOUNTS = [str(21_550_001 + number) for number in range(ACCOUNTS_TRIED // 10)]
LATE_SUB_ACCOUNT = "21559999"
PARAMETERS = {"KazooAccountIds": f"{RESELLER}/*", "RingcxSubAccountIds": "*"}
FREE = [{"limit": 1000, "window": 1}]
SECONDS = 900


class Company:
    """The running system, with one call in each account."""

    def __init__(self, system):
        self.system = system
        self.s3 = aws.client("s3", system.endpoints.aws)
        self.expected = set()

    def order(self, provider, what, order):
        url = f"{self.system.endpoints.simulators[provider]}/_sim/{what}"
        answer = httpx.post(url, json=order, timeout=60).raise_for_status()
        return answer.json() if answer.content else None

    def call(self, provider, account):
        """Let a call be recorded in an account; it is to have a folder there."""
        at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        if provider == "kazoo":
            order = {"accountId": account, "recordings": [{"duration": 1, "start": at}]}
            call = self.order("kazoo", "calls", order)["interactionId"]
        else:
            order = {"subAccountId": account, "segments": [{"duration": 1, "startTime": at}]}
            call = self.order("ringcx", "calls", order)["dialogId"]
        self.expected.add((provider, account, call))

    def sealed(self):
        """Return provider, account and call of each sealed manifest."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.system.endpoints.bucket, Prefix="calls/"
        )
        keys = [each["Key"].split("/") for page in pages for each in page.get("Contents", ())]
        return [(key[1], key[2], key[-2]) for key in keys if key[-1] == "manifest-1.json"]

    def status(self):
        told = legato("--local", "status", "--json", LEGATO_LOCAL_DIR=str(self.system.directory))
        return {one["provider"]: one for one in json.loads(told.stdout)["providers"]}


def test_every_account_is_found_and_kept_apart(tmp_path, free_port, record_property):
    """And a new one is archived without anything being deployed; status names it."""
    settings = {
        "kazoo_settings": {"accounts": [RESELLER, *CUSTOMERS]},
        "ringcx_settings": {
            "subAccounts": SUB_ACCOUNTS,
            "limits": {"Metadata": FREE, "Recordings": FREE, "Exchange": FREE},
        },
    }
    scheduled = ("SweeperFunction",)
    with running(
        port=free_port(),
        directory=tmp_path,
        scheduled=scheduled,
        seconds_between=60,
        parameters=PARAMETERS,
        **settings,
    ) as system:
        company, began = Company(system), datetime.now(UTC)
        for account in (RESELLER, *CUSTOMERS):
            company.call("kazoo", account)
        for account in SUB_ACCOUNTS:
            company.call("ringcx", account)
        until(lambda: company.expected <= set(company.sealed()), seconds=SECONDS)
        record_property("seconds", f"{(datetime.now(UTC) - began).total_seconds():.0f}")

        accounts = [RESELLER, *CUSTOMERS, LATE]
        company.order("kazoo", "settings", {"accounts": accounts})
        company.order("ringcx", "settings", {"subAccounts": [*SUB_ACCOUNTS, LATE_SUB_ACCOUNT]})
        company.call("kazoo", LATE)
        company.call("ringcx", LATE_SUB_ACCOUNT)
        until(lambda: company.expected <= set(company.sealed()), seconds=SECONDS)
        assert len(company.sealed()) == len(company.expected), "each has one folder"
        told = company.status()
        assert told["kazoo"]["accounts"]["listed"] == ACCOUNTS_TRIED
        assert LATE in told["kazoo"]["accounts"]["new"]
        assert LATE_SUB_ACCOUNT in told["ringcx"]["accounts"]["new"]
        for function in system.stack.functions.values():
            assert len(json.dumps(function.environment)) < 1024
