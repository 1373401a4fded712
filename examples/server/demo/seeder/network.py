"""Plants addresses and network interfaces."""

from __future__ import annotations

from .base import Base, ago, naive
from .truth import Expect, Plant, Tags


class Network(Base):
    """Addresses and network interfaces of one region."""

    def address(
        self,
        name: str,
        ip: str,
        *expects: Expect,
        on: Plant | None = None,
        tags: Tags | None = None,
    ) -> Plant:
        """An Elastic IP address, associated with an instance, an interface or nothing."""
        self._fresh("ec2.address", name)
        id = self._ec2.allocate_address(Domain="vpc", Address=ip)["AllocationId"]
        plant = self._add("ec2.address", id, self._tag(id, name, tags), expects, PublicIp=ip)
        if on:
            key = "InstanceId" if on.kind == "ec2.instance" else "NetworkInterfaceId"
            link = self._ec2.associate_address(AllocationId=id, **{key: on.id})["AssociationId"]
            plant.says(AssociationId=link, **{key: on.id})
        else:
            # moto sends the first two empty instead of leaving them out.
            plant.says(InstanceId="", NetworkInterfaceId="", AssociationId=None)
        return plant

    def interface(
        self,
        name: str,
        description: str,
        *expects: Expect,
        zone: str = "a",
        on: Plant | None = None,
        managed: bool = False,
        in_use: bool = False,
        tags: Tags | None = None,
    ) -> Plant:
        """A network interface: second one of an instance, a service's own (`managed`), or detached.

        A service's own has no tags unless some are given; `in_use` means by that service.
        """
        self._fresh("ec2.network-interface", name)
        subnet = self._subnets[on.zone if on else self.name + zone]
        created = self._ec2.create_network_interface(SubnetId=subnet, Description=description)
        id = created["NetworkInterface"]["NetworkInterfaceId"]
        tags = self._tag(id, name, {} if managed and tags is None else tags)
        state = self._state.enis[id]
        state.requester_managed = managed
        if on:
            where = {"InstanceId": on.id, "DeviceIndex": 1}
            self._ec2.attach_network_interface(NetworkInterfaceId=id, **where)
            state.attach_time = naive(ago(60))
        elif in_use:
            state.status = "in-use"
        return self._add(
            "ec2.network-interface",
            id,
            tags,
            expects,
            Status="in-use" if on or in_use else "available",
            RequesterManaged=managed,
            Description=description,
        )
