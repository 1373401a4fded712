"""eu-west-1: the European half, smaller, with other prices.

Amounts are worked out by hand from the price table of 2026-11-01, in micro-USD a month; the comment
at one shows the arithmetic. `hour` is an hourly price difference, 730 hours a month. A plant
without `finds` must lead to no finding. Sums at the end of a section are added up by hand too.
"""

from __future__ import annotations

from seeder.planter import UNKNOWN, Plant, RegionPlanter, Saving, ago, disk, finds
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


def plant(r: RegionPlanter, us_daily: Plant) -> None:
    linux = r.foreign_image("al2023-ami-2023.8.20251006.0-kernel-6.1-x86_64")
    builder = r.instance(
        "platform-prod-builder", "t3.micro", image=linux, root=disk(20, "gp3"), launched=ago(510)
    )
    api = r.image("payments-api-2026.10.2", builder=builder, created=ago(20))
    r.fleet(
        "payments-prod-api", 3, "m5.large", image=api.id, root=disk(30, "gp3"), launched=ago(19)
    )
    r.fleet(
        "checkout-prod-web",
        2,
        "c5.large",
        image=linux,
        root=disk(30, "gp2", finds(GP2, saves=660_000)),  # 30 x (110,000 - 88,000)
        launched=ago(140),
        zone="b",
    )
    bastion = r.instance(
        "sre-prod-bastion", "t3.micro", image=linux, root=disk(8, "gp3"), launched=ago(600)
    )
    r.adds_up_to(findings=2, saves=1_320_000)

    _previous_generation(r, linux)
    _stopped(r, linux)
    data = _volumes(r, linux)

    for day in range(1, 4):
        r.snapshot(f"payments-prod-db-daily-{day:02}", of=data, taken=ago(day, hours=2))
    old = finds(OLD, saves=UNKNOWN)
    r.snapshot("payments-prod-db-monthly-100", old, of=data, taken=ago(100))
    r.snapshot("growth-dev-import", finds(ORPHANED, saves=UNKNOWN), gone=60, taken=ago(31))
    r.snapshot_copy("payments-prod-db-us-095", old, of=us_daily, taken=ago(95))
    r.snapshot_copy("payments-prod-db-us-040", of=us_daily, taken=ago(40))
    unused = finds(UNUSED, saves=UNKNOWN)
    r.image("payments-api-2026.04.1", unused, builder=builder, created=ago(220))
    r.adds_up_to(findings=4, saves=0)

    r.address("sre-prod-bastion", "198.51.100.10", on=bastion)
    idle = finds(IDLE_IP, saves=3_650_000)  # 5,000 x 730
    r.address("growth-dev-demo", "198.51.100.20", idle)
    r.address("data-staging-partner", "198.51.100.21", idle)
    r.interface("growth-dev-demo", "second address of the demo", finds(DETACHED, saves=0))
    r.interface("lambda", "AWS Lambda VPC ENI-export-77aa", managed=True)
    r.adds_up_to(findings=3, saves=7_300_000)
    r.holds(instance=18, volume=29, snapshot=9, image=2, address=3, network_interface=20)


def _previous_generation(r: RegionPlanter, linux: str) -> None:
    windows = r.foreign_image("Windows_Server-2022-English-Full-Base", "windows", "Windows")
    plain = {"launched": ago(800), "root": disk(20, "gp3")}

    def run(name: str, type: str, *saves: Saving, image: str = linux) -> None:
        expects = [finds(PREVIOUS, saves=amount) for amount in saves]
        r.instance(name, type, *expects, image=image, **plain)

    run("growth-prod-web", "m4.large", 2_920_000)  # hour 111,000 - 107,000
    run("search-prod-ingest", "c4.large", 12_410_000)  # hour 113,000 - 96,000
    run("search-prod-index", "c4.xlarge", 24_820_000)  # hour 226,000 - 192,000
    run("ml-prod-ranking", "r4.xlarge", 10_220_000)  # hour 296,000 - 282,000
    run("sre-dev-jump", "t2.micro", 876_000)  # hour 12,600 - 11,400
    run("growth-prod-cron", "t2.small", UNKNOWN)
    run("finance-prod-mssql", "m4.large", UNKNOWN, image=windows)
    run("legacy-prod-dns", "m3.medium")
    # 2.92 + 12.41 + 24.82 + 10.22 + 0.876
    r.adds_up_to(findings=7, saves=51_246_000)


def _stopped(r: RegionPlanter, linux: str) -> None:
    etl = r.instance(
        "data-staging-etl",
        "m5.xlarge",
        finds(STOPPED, saves=0),
        image=linux,
        root=disk(
            100,
            "gp2",
            finds(ON_STOPPED, saves=11_000_000),  # 100 x 110,000
            finds(GP2, saves=2_200_000),  # 100 x 22,000
        ),
        launched=ago(100),
    )
    r.volume(
        "data-staging-etl-spool",
        300,
        "gp3",
        finds(ON_STOPPED, saves=50_600_000),  # 300 x 88,000 + 3,000 x 5,500 + 175 x 44,000
        iops=6_000,
        throughput=300,
        created=ago(100),
        on=etl,
    )
    r.stop(etl, since=ago(45))
    demo = r.instance(
        "growth-dev-demo", "t3.micro", image=linux, root=disk(8, "gp3"), launched=ago(60)
    )
    r.stop(demo, since=ago(29))
    # 11 + 50.6
    r.adds_up_to(findings=4, saves=61_600_000)


def _volumes(r: RegionPlanter, linux: str) -> Plant:
    db = r.instance(
        "payments-prod-db", "r5.large", image=linux, root=disk(50, "gp3"), launched=ago(290)
    )
    data = r.volume(
        "payments-prod-db-data",
        300,
        "io2",
        # 300 x 138,000 + 6,000 x 72,000 - (300 x 88,000 + 3,000 x 5,500 + 375 x 44,000)
        finds(PIOPS, saves=414_000_000),
        iops=6_000,
        created=ago(290),
        on=db,
    )
    small = finds(GP2, saves=11_000_000)  # 500 x 22,000
    r.volume("payments-prod-db-log", 500, "gp2", small, created=ago(290), on=db, device="/dev/sdg")
    large = finds(GP2, saves=27_500_000)  # 2,000 x 22,000 - 3,000 x 5,500
    r.volume(
        "payments-prod-db-lob", 2_000, "gp2", large, created=ago(290), on=db, device="/dev/sdh"
    )

    cold = finds(UNATTACHED, saves=8_400_000)  # 500 x 16,800
    r.volume("data-dev-cold", 500, "sc1", cold, created=ago(365))
    logs = finds(UNATTACHED, saves=12_500_000)  # 250 x 50,000
    r.volume("data-dev-logs", 250, "st1", logs, created=ago(120))
    export = finds(UNATTACHED, saves=4_400_000)  # 80 x 55,000
    r.volume("legacy-prod-export", 80, "standard", export, created=ago(800))
    r.volume(
        "growth-dev-import",
        40,
        "gp2",
        finds(UNATTACHED, saves=4_400_000),  # 40 x 110,000
        finds(GP2, saves=880_000),  # 40 x 22,000
        created=ago(14),
    )
    r.volume(
        "payments-dev-replay",
        50,
        "io1",
        finds(UNATTACHED, saves=42_900_000),  # 50 x 138,000 + 500 x 72,000
        finds(PIOPS, saves=38_500_000),  # 42,900,000 - 50 x 88,000
        iops=500,
        created=ago(8),
    )
    r.volume(
        "accents-in-tags",
        25,
        "gp3",
        finds(UNATTACHED, saves=2_200_000),  # 25 x 88,000
        created=ago(31),
        tags={"Name": "données – façade “été” & <b>gras</b>", "équipe": "Größe"},
    )
    r.volume("checkout-dev-today", 30, "gp3", created=ago(2))
    # 414 + 11 + 27.5 + 8.4 + 12.5 + 4.4 + 4.4 + 42.9 + 2.2
    r.adds_up_to(findings=11, saves=527_300_000)
    return data
