"""Reads the seeded account back with plain boto3, as a stranger would, and compares.

Held against the server: what the truth relies on (counts, moments, sizes, performance, states,
tags), the paging, the role, and that two servers answer byte for byte alike.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .emulator import REGIONS, client
from .truth import ACCOUNT, SEVERITY, Plant

# kind: (paginator, arguments, key of the answer, key of the id)
OPERATIONS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "ec2.instance": ("describe_instances", {}, "Reservations", "InstanceId"),
    "ec2.volume": ("describe_volumes", {}, "Volumes", "VolumeId"),
    "ec2.snapshot": ("describe_snapshots", {"OwnerIds": ["self"]}, "Snapshots", "SnapshotId"),
    "ec2.image": ("describe_images", {"Owners": ["self"]}, "Images", "ImageId"),
    "ec2.address": ("describe_addresses", {}, "Addresses", "AllocationId"),
    "ec2.network-interface": (
        "describe_network_interfaces",
        {},
        "NetworkInterfaces",
        "NetworkInterfaceId",
    ),
}
PAGE = 20


class Reader:
    """One server, read through the account's role."""

    def __init__(self, endpoint: str, role: str) -> None:
        self.bodies: list[bytes] = []
        self._endpoint = endpoint
        sts = client(endpoint, "sts", "us-east-1")
        session = sts.assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
            RoleSessionName="selfcheck",
            ExternalId="tru1-selfcheck",
            DurationSeconds=900,
        )["Credentials"]
        self._keys = {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }
        caller = client(endpoint, "sts", "us-east-1", **self._keys).get_caller_identity()
        assert caller["Account"] == ACCOUNT and f"/{role}/" in caller["Arn"], caller

    def regions(self) -> dict[str, str]:
        answer = self._client("us-east-1").describe_regions(AllRegions=True)["Regions"]
        return {region["RegionName"]: region["OptInStatus"] for region in answer}

    def read(self, region: str, kind: str, page: int | None = None) -> list[dict[str, Any]]:
        operation, arguments, key, _ = OPERATIONS[kind]
        ec2 = self._client(region)
        if not ec2.can_paginate(operation) or kind == "ec2.address":
            return getattr(ec2, operation)(**arguments)[key]
        config = {"PageSize": page} if page else {}
        pages = list(ec2.get_paginator(operation).paginate(**arguments, PaginationConfig=config))
        assert all(len(answer[key]) <= (page or len(answer[key])) for answer in pages)
        items = [item for answer in pages for item in answer[key]]
        if kind == "ec2.instance":
            items = [item for reservation in items for item in reservation["Instances"]]
        return items

    def everything(self) -> list[bytes]:
        """The bodies of all descriptions, whole and in pages."""
        self.bodies.clear()
        self.regions()
        for region in _scanned():
            for kind in OPERATIONS:
                whole = self.read(region, kind)
                assert whole == self.read(region, kind, PAGE), f"{region} {kind}: pages differ"
        return list(self.bodies)

    def _client(self, region: str) -> Any:
        made = client(self._endpoint, "ec2", region, **self._keys)
        made.meta.events.register("before-parse.ec2", self._keep)
        return made

    def _keep(self, response_dict: dict[str, Any], **_: Any) -> None:
        self.bodies.append(response_dict["body"])


def check_plants(reader: Reader, plants: list[Plant]) -> str:
    """Every plant is there as planted, and nothing else is. Returns a line to print."""
    assert reader.regions() == REGIONS, reader.regions()
    foreign = 0
    for region in _scanned():
        for kind, (_, _, _, id_key) in OPERATIONS.items():
            items = reader.read(region, kind)
            # moto lists everybody's snapshots when asked for one's own.
            own = [item for item in items if item.get("OwnerId", ACCOUNT) == ACCOUNT]
            foreign += len(items) - len(own)
            found = {item[id_key]: item for item in own}
            planted = {p.id: p for p in plants if (p.region, p.kind) == (region, kind)}
            assert len(found) == len(own), f"{region} {kind}: an id comes twice"
            assert found.keys() == planted.keys(), found.keys() ^ planted.keys()
            for id, plant in planted.items():
                _check_plant(plant, found[id])
    return f"{len(plants)} resources as planted, {foreign} snapshots of others beside them"


def _check_plant(plant: Plant, item: dict[str, Any]) -> None:
    # Interfaces alone call them TagSet.
    listed = item.get("TagSet" if plant.kind == "ec2.network-interface" else "Tags", [])
    tags = {tag["Key"]: tag["Value"] for tag in listed}
    assert tags == plant.tags, (plant.id, tags, plant.tags)
    for path, planted in plant.wire.items():
        found = _pick(item, path)
        assert found == planted, f"{plant.region} {plant.id} {path}: {found!r}, not {planted!r}"


def _pick(item: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(item, list):
            item = item[int(step)] if len(item) > int(step) else None
        elif isinstance(item, dict):
            item = item.get(step)
    return item


def check_coverage(plants: list[Plant]) -> str:
    """Every check is hit and missed, in the priced regions at least once each."""
    for check in SEVERITY:
        kind = check.rpartition(".")[0]
        candidates = [p for p in plants if p.kind == kind]
        hits = [p for p in candidates if check in [expect.check for expect in p.expects]]
        assert hits and len(hits) < len(candidates), f"{check}: {len(hits)} of {len(candidates)}"
        assert {"us-east-1", "eu-west-1"} <= {p.region for p in hits}, check
    return f"{len(SEVERITY)} checks hit and missed"


def check_twins(script: Path, bodies: list[bytes], role: str) -> str:
    """Two more servers, started apart, answer with the same bytes and end when told to."""
    for seed, ending in (("1", "end of input"), ("2", "SIGTERM")):
        with _serve(script, PYTHONHASHSEED=seed) as (server, endpoint):
            assert Reader(endpoint, role).everything() == bodies, "two servers differ"
            if ending == "SIGTERM":
                server.send_signal(signal.SIGTERM)
            else:
                server.stdin.close()
            assert server.wait(20) == 0, f"{ending}: {server.returncode}"
    return f"two more servers answered {len(bodies)} requests byte for byte alike and ended cleanly"


@contextmanager
def _serve(script: Path, **environment: str) -> Iterator[tuple[Any, str]]:
    server = subprocess.Popen(
        [sys.executable, str(script), "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        text=True,
    )
    try:
        yield server, json.loads(server.stdout.readline())["endpoint"]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _scanned() -> list[str]:
    return [name for name, status in REGIONS.items() if status != "not-opted-in"]
