"""Plants instances, each with its root volume and primary network interface."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ec2.utils import random_ami_id

from .base import ago, naive
from .storage import Storage
from .truth import Expect, Plant, Tags

AMAZON = "137112412989"
ROOT_DEVICE = "/dev/xvda"


@dataclass(frozen=True)
class Disk:
    """The root volume that an instance is launched with, and what must be found of it."""

    gib: int
    type: str
    expects: tuple[Expect, ...]


def disk(gib: int, type: str, *expects: Expect) -> Disk:
    return Disk(gib, type, expects)


class Compute(Storage):
    """Instances of one region."""

    def foreign_image(
        self, name: str, platform: str | None = None, details: str = "Linux/UNIX"
    ) -> str:
        """An old image of Amazon's. Neither it nor its snapshot is the account's own.

        moto lists that snapshot all the same when asked for the owner `self`.
        """
        self._fresh("foreign-image", name)
        image = Ami(
            self._state,
            random_ami_id(),
            name=name,
            owner_id=AMAZON,
            owner_alias="amazon",
            public=True,
            platform=platform,
            virtualization_type="hvm",
            architecture="x86_64",
            root_device_type="ebs",
            root_device_name=ROOT_DEVICE,
            creation_date=naive(ago(400)),
        )
        image.platform_details = details  # type: ignore[attr-defined]
        image.ebs_snapshot.start_time = naive(ago(400))
        self._state.amis[image.id] = image
        return image.id

    def instance(self, name: str, type: str, *expects: Expect, **options: Any) -> Plant:
        """One instance; the options are those of a fleet."""
        return self.fleet(name, 1, type, *expects, **options)[0]

    def fleet(
        self,
        name: str,
        count: int,
        type: str,
        *expects: Expect,
        image: str,
        root: Disk,
        launched: datetime,
        zone: str = "a",
        spot: bool = False,
        tenancy: str = "default",
        tags: Tags | None = None,
    ) -> list[Plant]:
        """Instances of one reservation, numbered; each with the same root volume and findings."""
        self._fresh("ec2.instance", name)
        zone = self.name + zone
        interface = {"DeviceIndex": 0, "SubnetId": self._subnets[zone], "DeleteOnTermination": True}
        volume = {"VolumeSize": root.gib, "VolumeType": root.type, "DeleteOnTermination": True}
        reservation = self._ec2.run_instances(
            ImageId=image,
            InstanceType=type,
            MinCount=count,
            MaxCount=count,
            ClientToken=f"demo-{name}",
            NetworkInterfaces=[interface],
            BlockDeviceMappings=[{"DeviceName": ROOT_DEVICE, "Ebs": volume}],
            **({"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}),
        )
        names = [name] if count == 1 else [f"{name}-{n:02}" for n in range(1, count + 1)]
        plants = []
        for label, instance in zip(names, reservation["Instances"], strict=True):
            id = instance["InstanceId"]
            state = self._state.get_instance(id)
            state.launch_time = naive(launched)
            state.placement.tenancy = tenancy
            state.kernel_id = None
            # moto leaves this out; AWS tells it of every instance.
            state.platform_details = self._state.amis[image].platform_details
            plant = self._add(
                "ec2.instance",
                id,
                self._tag(id, label, tags),
                expects,
                InstanceType=type,
                ImageId=image,
                LaunchTime=launched,
                PlatformDetails=state.platform_details,
                InstanceLifecycle="spot" if spot else None,
                **{"State.Name": "running", "Placement.Tenancy": tenancy},
            )
            plant.zone = zone
            plant.parts = self._parts(state, label, root, launched)
            plants.append(plant)
        return plants

    def _parts(self, state: Any, name: str, root: Disk, launched: datetime) -> dict[str, Plant]:
        state.nics[0].attach_time = naive(launched)
        interface = self._add("ec2.network-interface", state.nics[0].id, {}, Status="in-use")
        mapping = state.block_device_mapping[ROOT_DEVICE]
        mapping.attach_time = naive(launched)
        volume = self._volume(
            mapping.volume_id, root.gib, root.type, root.expects, launched, f"{name}-root"
        )
        self._attached(volume, state.id, launched)
        return {"interface": interface, "volume": volume}

    def stop(
        self, instance: Plant, *, since: datetime | None = None, reason: str | None = None
    ) -> None:
        """Stops an instance; AWS tells since when only inside the reason's text, if at all."""
        assert (since is None) != (reason is None), instance.name
        self._ec2.stop_instances(InstanceIds=[instance.id])
        self._ended(instance, "stopped", reason if since is None else _user_initiated(since))

    def terminate(self, instance: Plant, *, since: datetime) -> None:
        """Terminates an instance: it is listed for a while, its volume and interface are gone."""
        self._ec2.terminate_instances(InstanceIds=[instance.id])
        self._ended(instance, "terminated", _user_initiated(since))
        self._forget(*instance.parts.values())

    def _ended(self, instance: Plant, state: str, reason: str | None) -> None:
        self._state.get_instance(instance.id)._reason = reason
        instance.says(StateTransitionReason=reason, **{"State.Name": state})


def _user_initiated(since: datetime) -> str:
    return f"User initiated ({since:%Y-%m-%d %H:%M:%S} GMT)"
