"""The demo account as a whole: its role, its regions, and the sums that a scan must come to."""

from __future__ import annotations

import json

from seeder.planter import Account

from . import eu_west_1, sa_east_1, us_east_1

ROLE = "TruenoReadOnly"

# us-east-1 82 + eu-west-1 31 + sa-east-1 13
FINDINGS = 126
# us-east-1 5,318.331 + eu-west-1 648.766 + sa-east-1 0 (no price is known there) USD a month
MONTHLY_SAVING_MICROS = 5_967_097_000
# us-east-1 26 + eu-west-1 6 + sa-east-1 11
UNKNOWN_PRICES = 43


def plant(account: Account) -> None:
    """Plants the whole account."""
    _role(account)
    daily = us_east_1.plant(account.region("us-east-1"))
    eu_west_1.plant(account.region("eu-west-1"), daily)
    sa_east_1.plant(account.region("sa-east-1"))


def _role(account: Account) -> None:
    scanner = {"AWS": "arn:aws:iam::999988887777:root"}
    trust = {"Effect": "Allow", "Principal": scanner, "Action": "sts:AssumeRole"}
    read = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}
    documents = [{"Version": "2012-10-17", "Statement": [s]} for s in (trust, read)]
    account.role(ROLE, *map(json.dumps, documents))
