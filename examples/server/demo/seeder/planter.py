"""Plants an account, region by region: through boto3 where AWS has an operation for it."""

from __future__ import annotations

from .base import Ledger, ago, nearly
from .compute import Compute, disk
from .emulator import Emulator, reseed
from .network import Network
from .truth import UNKNOWN, Plant, Saving, finds

__all__ = [
    "UNKNOWN",
    "Account",
    "Plant",
    "RegionPlanter",
    "Saving",
    "ago",
    "disk",
    "finds",
    "nearly",
]


class RegionPlanter(Compute, Network):
    """Everything that can be planted in one region."""


class Account:
    """The account that is being planted."""

    def __init__(self, emulator: Emulator) -> None:
        self._ledger = Ledger(emulator)

    @property
    def plants(self) -> list[Plant]:
        return self._ledger.plants

    def region(self, name: str) -> RegionPlanter:
        return RegionPlanter(self._ledger, name)

    def role(self, name: str, trust_policy: str, policy: str) -> None:
        reseed("iam", name)
        iam = self._ledger.emulator.client("iam", "us-east-1")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust_policy)
        iam.put_role_policy(RoleName=name, PolicyName="ReadOnly", PolicyDocument=policy)
