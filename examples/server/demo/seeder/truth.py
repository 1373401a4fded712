"""What a scan must say of a plant, and the truth file made of it.

Nothing here knows a price or a rule of a check: an expected finding comes with the plant, with its
amount as a literal, and is only carried into the truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

AS_OF = datetime(2026, 11, 15, tzinfo=UTC)
ACCOUNT = "123456789012"

PREVIOUS = "ec2.instance.previous-generation"
STOPPED = "ec2.instance.stopped"
UNATTACHED = "ec2.volume.unattached"
ON_STOPPED = "ec2.volume.on-stopped-instance"
GP2 = "ec2.volume.gp2"
PIOPS = "ec2.volume.provisioned-iops"
OLD = "ec2.snapshot.old"
ORPHANED = "ec2.snapshot.orphaned"
UNUSED = "ec2.image.unused"
IDLE_IP = "ec2.address.unassociated"
DETACHED = "ec2.network-interface.detached"

SEVERITY = {
    PREVIOUS: "low",
    STOPPED: "low",
    UNATTACHED: "medium",
    ON_STOPPED: "medium",
    GP2: "low",
    PIOPS: "medium",
    OLD: "low",
    ORPHANED: "low",
    UNUSED: "low",
    IDLE_IP: "medium",
    DETACHED: "informational",
}

Tags = dict[str, str]


class _Unknown:
    """The saving of a finding that has no known price. Not zero."""


UNKNOWN = _Unknown()
Saving = int | _Unknown


@dataclass(frozen=True)
class Expect:
    """A finding that a plant must lead to: the check, and the saving in micro-USD a month."""

    check: str
    saves: Saving


def finds(check: str, *, saves: Saving) -> Expect:
    assert check in SEVERITY, check
    return Expect(check, saves)


@dataclass
class Plant:
    """One resource as a scan must see it. `wire` is what boto3 must read back of it."""

    kind: str
    region: str
    id: str
    name: str | None
    tags: Tags
    wire: dict[str, Any]
    expects: tuple[Expect, ...] = ()
    zone: str = ""
    # Planted along with it: an instance's root volume and interface, an image's snapshot.
    parts: dict[str, Plant] = field(default_factory=dict)

    def says(self, **wire: Any) -> None:
        self.wire.update(wire)


def known_savings(plants: Iterable[Plant]) -> int:
    """The sum of the known savings; of a resource's several findings the largest alone counts."""
    known = [
        [expect.saves for expect in plant.expects if isinstance(expect.saves, int)]
        for plant in plants
    ]
    return sum(max(amounts) for amounts in known if amounts)


def render(plants: list[Plant], regions: dict[str, str]) -> dict[str, Any]:
    """The truth file. `regions` maps each region to its opt-in status."""
    findings = [_finding(plant, expect) for plant in plants for expect in plant.expects]
    scanned = [name for name, status in regions.items() if status != "not-opted-in"]
    return {
        "as_of": f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}",
        "account": ACCOUNT,
        "regions": scanned,
        "regions_not_opted_in": [name for name in regions if name not in scanned],
        "totals": {
            "findings": len(findings),
            "monthly_saving_micros": known_savings(plants),
            "currency": "USD",
            "unknown_prices": sum(finding["monthly_saving"] is None for finding in findings),
        },
        "coverage": [_coverage(plants, region) for region in scanned],
        "findings": sorted(findings, key=lambda finding: finding["key"]),
    }


def _finding(plant: Plant, expect: Expect) -> dict[str, Any]:
    amount = expect.saves
    name = {} if plant.name is None else {"name": plant.name}
    return {
        "key": f"{expect.check}/{ACCOUNT}/{plant.region}/{plant.id}",
        "check": expect.check,
        "check_version": 1,
        "resource": {
            "kind": plant.kind,
            "native_id": plant.id,
            "region": plant.region,
            **name,
            "tags": dict(sorted(plant.tags.items())),
        },
        "severity": SEVERITY[expect.check],
        "monthly_saving": (
            {"amount_micros": amount, "currency": "USD"} if isinstance(amount, int) else None
        ),
        "conflict_group": f"{plant.kind.removeprefix('ec2.')}/{plant.id}",
    }


def _coverage(plants: list[Plant], region: str) -> dict[str, Any]:
    kinds = Counter(plant.kind for plant in plants if plant.region == region)
    return {
        "service": "ec2",
        "region": region,
        "status": "complete",
        "resources": kinds.total(),
        "resources_by_kind": dict(sorted(kinds.items())),
    }
