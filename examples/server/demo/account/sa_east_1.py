"""sa-east-1: the price table does not know it, so every amount is unknown, never zero.

Known all the same is what costs nothing anywhere: a stopped instance and a network interface.
"""

from __future__ import annotations

from seeder.planter import UNKNOWN, RegionPlanter, ago, disk, finds
from seeder.truth import (
    DETACHED,
    GP2,
    IDLE_IP,
    OLD,
    ON_STOPPED,
    ORPHANED,
    PIOPS,
    PREVIOUS,
    STOPPED,
    UNATTACHED,
    UNUSED,
)


def plant(r: RegionPlanter) -> None:
    linux = r.foreign_image("al2023-ami-2023.8.20251006.0-kernel-6.1-x86_64")
    root = disk(20, "gp3")
    web = r.fleet(
        "checkout-prod-web", 3, "t3.micro", image=linux, root=root, launched=ago(50), zone="c"
    )
    slow = finds(PREVIOUS, saves=UNKNOWN)
    r.instance("checkout-prod-pix", "m4.large", slow, image=linux, root=root, launched=ago(700))
    r.instance("legacy-prod-dns", "m3.medium", image=linux, root=root, launched=ago(900))
    pilot = r.instance(
        "growth-dev-pilot",
        "c4.large",
        finds(STOPPED, saves=0),
        image=linux,
        root=disk(16, "gp2", finds(ON_STOPPED, saves=UNKNOWN), finds(GP2, saves=UNKNOWN)),
        launched=ago(90),
    )
    r.stop(pilot, since=ago(60))

    orders = r.volume(
        "checkout-prod-orders",
        100,
        "io1",
        finds(PIOPS, saves=UNKNOWN),
        iops=2_000,
        created=ago(50),
        on=web[0],
    )
    r.volume("checkout-prod-pix", 100, "io1", iops=20_000, created=ago(50), on=web[1])
    unattached = finds(UNATTACHED, saves=UNKNOWN)
    r.volume("growth-dev-pilot-data", 50, "gp3", unattached, created=ago(30))
    r.volume("growth-dev-logs", 500, "st1", unattached, created=ago(100))
    r.volume("growth-dev-import", 10, "gp2", finds(GP2, saves=UNKNOWN), created=ago(3))
    r.snapshot("checkout-prod-orders-095", finds(OLD, saves=UNKNOWN), of=orders, taken=ago(95))
    r.snapshot("growth-dev-pilot-035", finds(ORPHANED, saves=UNKNOWN), gone=50, taken=ago(35))
    unused = finds(UNUSED, saves=UNKNOWN)
    r.image("growth-pilot-2026.08", unused, builder=web[0], created=ago(100))
    r.address("checkout-prod-web", "192.0.2.10", on=web[0])
    r.address("growth-dev-pilot", "192.0.2.20", finds(IDLE_IP, saves=UNKNOWN))
    r.interface("growth-dev-pilot", "São Paulo – pilôto & testes", finds(DETACHED, saves=0))
    r.adds_up_to(findings=13, saves=0)
    r.holds(instance=6, volume=11, snapshot=3, image=1, address=2, network_interface=7)
