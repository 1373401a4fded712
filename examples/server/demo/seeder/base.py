"""What every planter of a region shares: the client, moto's state, tags, and sums made by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .emulator import Emulator, backend, reseed
from .truth import AS_OF, Expect, Plant, Tags, known_savings


def ago(days: float, **more: float) -> datetime:
    """That long before the day of the recording."""
    return AS_OF - timedelta(days=days, **more)


def nearly(days: float) -> datetime:
    """One second too young to be `days` old."""
    return ago(days) + timedelta(seconds=1)


def naive(moment: datetime) -> datetime:
    """As moto keeps it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)


@dataclass
class Ledger:
    """Everything planted so far, in all regions."""

    emulator: Emulator
    plants: list[Plant] = field(default_factory=list)
    _slugs: set[tuple[str, str, str]] = field(default_factory=set)

    def fresh(self, region: str, kind: str, slug: str) -> None:
        """Starts the ids of a new resource. Two of one kind and slug would share an id."""
        assert (region, kind, slug) not in self._slugs, f"planted twice: {region} {kind} {slug}"
        self._slugs.add((region, kind, slug))
        reseed(region, kind, slug)


class Base:
    """One region. Zones are given by letter; `created` and the like are moments."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.name = name
        self._ledger = ledger
        self._ec2 = ledger.emulator.client("ec2", name)
        reseed(name, "vpc")
        subnets = self._ec2.describe_subnets()["Subnets"]
        self._subnets = {s["AvailabilityZone"]: s["SubnetId"] for s in subnets}
        self._state = backend(name)
        self._section_start = len(ledger.plants)

    def adds_up_to(self, *, findings: int, saves: int) -> None:
        """Checks the plants since the last call against sums made by hand, in micro-USD a month."""
        section = self._ledger.plants[self._section_start :]
        self._section_start = len(self._ledger.plants)
        found = (sum(len(plant.expects) for plant in section), known_savings(section))
        assert found == (findings, saves), f"{self.name}: (findings, saves) are {found}"

    def holds(self, **counts: int) -> None:
        """Checks the number of resources of each kind in the region against one counted by hand."""
        kinds = Counter(plant.kind for plant in self._ledger.plants if plant.region == self.name)
        found = {kind.removeprefix("ec2.").replace("-", "_"): n for kind, n in kinds.items()}
        assert found == counts, f"{self.name} holds {found}"

    def _fresh(self, kind: str, slug: str) -> None:
        self._ledger.fresh(self.name, kind, slug)

    def _add(
        self,
        kind: str,
        id: str,
        tags: Tags,
        expects: tuple[Expect, ...] = (),
        *,
        name: str | None = None,
        **wire: Any,
    ) -> Plant:
        """Notes a resource; it is called what its tag says, unless it has a `name` of its own."""
        plant = Plant(kind, self.name, id, name or tags.get("Name"), tags, wire, expects)
        self._ledger.plants.append(plant)
        return plant

    def _forget(self, *plants: Plant) -> None:
        """Takes back what is gone again. Plants are compared by identity, not by value."""
        gone = {id(plant) for plant in plants}
        self._ledger.plants[:] = [p for p in self._ledger.plants if id(p) not in gone]

    def _tag(self, id: str, name: str, tags: Tags | None) -> Tags:
        """Tags a resource, with what its name tells where no tags are given."""
        if tags is None:
            tags = {"Name": name, **_ownership(name)}
        if tags:
            items = [{"Key": key, "Value": value} for key, value in tags.items()]
            self._ec2.create_tags(Resources=[id], Tags=items)
        return tags


def _ownership(name: str) -> Tags:
    """`payments-prod-api-01` belongs to the payments team, environment prod, service api."""
    team, env, service = [*name.split("-"), "shared", "shared"][:3]
    return {"team": team, "env": env, "service": service}
