"""Plants volumes, snapshots and images."""

from __future__ import annotations

import copy
from datetime import datetime

from .base import Base, naive
from .truth import ACCOUNT, Expect, Plant, Tags


class Storage(Base):
    """Volumes, snapshots and images of one region."""

    def volume(
        self,
        name: str,
        gib: int,
        type: str,
        *expects: Expect,
        created: datetime,
        on: Plant | None = None,
        device: str = "/dev/sdf",
        zone: str = "a",
        iops: int | None = None,
        throughput: int | None = None,
        encrypted: bool = False,
        tags: Tags | None = None,
    ) -> Plant:
        """A volume, attached to an instance or to none."""
        self._fresh("ec2.volume", name)
        wanted = {"Iops": iops, "Throughput": throughput, "Encrypted": encrypted or None}
        id = self._ec2.create_volume(
            AvailabilityZone=on.zone if on else self.name + zone,
            Size=gib,
            VolumeType=type,
            **{key: value for key, value in wanted.items() if value is not None},
        )["VolumeId"]
        plant = self._volume(id, gib, type, expects, created, name, tags, iops, throughput)
        plant.says(Encrypted=encrypted)
        if on:
            self._ec2.attach_volume(VolumeId=id, InstanceId=on.id, Device=device)
            mapping = self._state.get_instance(on.id).block_device_mapping[device]
            mapping.attach_time = naive(created)
            self._attached(plant, on.id, created)
        return plant

    def _volume(
        self,
        id: str,
        gib: int,
        type: str,
        expects: tuple[Expect, ...],
        created: datetime,
        name: str,
        tags: Tags | None = None,
        iops: int | None = None,
        throughput: int | None = None,
    ) -> Plant:
        """Completes what moto made into what AWS would tell of it, and notes it."""
        tags = self._tag(id, name, tags)
        state = self._state.volumes[id]
        state.create_time = naive(created)
        # AWS tells the baseline of gp2 and gp3 volumes too, moto only what was asked for.
        if type == "gp2":
            state.iops = min(max(3 * gib, 100), 16_000)
        if type == "gp3":
            state.iops, state.throughput = iops or 3_000, throughput or 125
        return self._add(
            "ec2.volume",
            id,
            tags,
            expects,
            Size=gib,
            VolumeType=type,
            CreateTime=created,
            State="available",
            Iops=state.iops,
            Throughput=state.throughput,
        )

    def _attached(self, volume: Plant, instance: str, since: datetime) -> None:
        self._state.volumes[volume.id].attachment.attach_time = naive(since)
        attachment = {"Attachments.0.InstanceId": instance, "Attachments.0.AttachTime": since}
        volume.says(State="in-use", **attachment)

    def snapshot(
        self,
        name: str,
        *expects: Expect,
        taken: datetime,
        of: Plant | None = None,
        gone: int | None = None,
        status: str = "completed",
        archived: bool = False,
        tags: Tags | None = None,
    ) -> Plant:
        """A snapshot `of` a volume that is there, or of one of `gone` GiB that was deleted."""
        assert (of is None) != (gone is None), name
        self._fresh("ec2.snapshot", name)
        source = of.id if of else self._doomed_volume(gone)
        id = self._ec2.create_snapshot(VolumeId=source, Description=f"backup {name}")["SnapshotId"]
        if not of:
            self._ec2.delete_volume(VolumeId=source)
        if archived:
            self._ec2.modify_snapshot_tier(SnapshotId=id, StorageTier="archive")
        plant = self._snapshot(id, name, expects, taken, tags)
        self._state.snapshots[id].status = status
        size = of.wire["Size"] if of else gone
        tier = "archive" if archived else "standard"
        plant.says(State=status, VolumeId=source, VolumeSize=size, StorageTier=tier)
        return plant

    def _doomed_volume(self, gib: int | None) -> str:
        zone = self.name + "a"
        return self._ec2.create_volume(AvailabilityZone=zone, Size=gib, VolumeType="gp3")[
            "VolumeId"
        ]

    def snapshot_copy(
        self, name: str, *expects: Expect, taken: datetime, of: Plant, tags: Tags | None = None
    ) -> Plant:
        """A copy of a snapshot of any region. AWS gives every copy the volume id vol-ffffffff."""
        self._fresh("ec2.snapshot", name)
        id = self._ec2.copy_snapshot(
            SourceRegion=of.region,
            SourceSnapshotId=of.id,
            Description=f"[Copied {of.id} from {of.region}]",
        )["SnapshotId"]
        stand_in = copy.copy(self._state.snapshots[id].volume)
        stand_in.id = "vol-ffffffff"
        self._state.snapshots[id].volume = stand_in
        plant = self._snapshot(id, name, expects, taken, tags)
        plant.says(State="completed", VolumeId="vol-ffffffff")
        return plant

    def _snapshot(
        self,
        id: str,
        name: str,
        expects: tuple[Expect, ...],
        taken: datetime,
        tags: Tags | None = None,
    ) -> Plant:
        tags = self._tag(id, name, tags)
        self._state.snapshots[id].start_time = naive(taken)
        return self._add("ec2.snapshot", id, tags, expects, StartTime=taken, OwnerId=ACCOUNT)

    def image(
        self,
        name: str,
        *expects: Expect,
        builder: Plant,
        created: datetime,
        public: bool = False,
        shared_with: str | None = None,
        disabled: bool = False,
        failed: bool = False,
        tags: Tags | None = None,
    ) -> Plant:
        """An own image, with its snapshot of 15 GiB, whose source volume is gone."""
        self._fresh("ec2.image", name)
        id = self._ec2.create_image(InstanceId=builder.id, Name=name)["ImageId"]
        tags = self._tag(id, name, {"managed-by": "image-pipeline"} if tags is None else tags)
        for grantee in [{"Group": "all"}] * public + [{"UserId": shared_with}] * bool(shared_with):
            self._ec2.modify_image_attribute(ImageId=id, LaunchPermission={"Add": [grantee]})
        state = self._state.amis[id]
        state.creation_date = naive(created)
        state.root_device_type = "ebs"
        state.platform_details = "Linux/UNIX"
        state.image_location = f"{ACCOUNT}/{name}"
        if disabled:
            self._ec2.disable_image(ImageId=id)
        if failed:
            state.state = "failed"
        snapshot = self._snapshot(state.ebs_snapshot.id, f"{name}-root", (), created)
        snapshot.says(State="completed", VolumeSize=15)
        plant = self._add(
            "ec2.image",
            id,
            tags,
            expects,
            name=name,
            Name=name,
            CreationDate=f"{created:%Y-%m-%dT%H:%M:%S}.000Z",
            State="disabled" if disabled else "failed" if failed else "available",
            Public=public,
            **{"BlockDeviceMappings.0.Ebs.SnapshotId": snapshot.id},
        )
        plant.parts["snapshot"] = snapshot
        return plant

    def deregister(self, image: Plant, *expects: Expect) -> None:
        """Deregisters an image, which leaves its snapshot behind; the findings are that one's."""
        self._ec2.deregister_image(ImageId=image.id)
        self._forget(image)
        image.parts["snapshot"].expects = expects
