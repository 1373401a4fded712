"""us-east-1: production. Its volumes are in us_east_1_volumes.py.

Amounts are worked out by hand from the price table of 2026-11-01, in micro-USD a month; the comment
at one shows the arithmetic. `hour` is an hourly price difference, 730 hours a month. A plant
without `finds` must lead to no finding. Sums at the end of a section are added up by hand too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seeder.planter import UNKNOWN, Plant, RegionPlanter, Saving, ago, disk, finds, nearly
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
    UNUSED,
)

from . import us_east_1_volumes as volumes


@dataclass
class _Base:
    """What the later sections of a region build on."""

    linux: str
    builder: Plant
    front: Plant


def plant(r: RegionPlanter) -> Plant:
    linux = r.foreign_image("al2023-ami-2023.8.20251006.0-kernel-6.1-x86_64")
    base = _fleets(r, linux)
    _previous_generation(r, linux)
    sandbox = _stopped(r, base)
    data = volumes.in_use(r, linux)
    volumes.unattached(r)
    daily = _snapshots(r, base, data)
    _images(r, base)
    _network(r, base, sandbox)
    r.holds(instance=44, volume=81, snapshot=36, image=11, address=7, network_interface=51)
    return daily


def _fleets(r: RegionPlanter, linux: str) -> _Base:
    builder = r.instance(
        "platform-prod-builder", "t3.micro", image=linux, root=disk(20, "gp3"), launched=ago(520)
    )
    api = r.image("payments-api-2026.10.2", builder=builder, created=ago(20))
    # Old, but in use.
    golden = r.image("golden-base-2026.03", builder=builder, created=ago(230))
    fleet = r.fleet(
        "payments-prod-api", 4, "m5.large", image=api.id, root=disk(30, "gp3"), launched=ago(19)
    )
    r.fleet(
        "checkout-prod-web", 3, "c5.large", image=golden.id, root=disk(30, "gp3"), launched=ago(200)
    )
    r.fleet(
        "search-prod-node",
        3,
        "r5.xlarge",
        image=golden.id,
        root=disk(50, "gp2", finds(GP2, saves=1_000_000)),  # 50 x (100,000 - 80,000)
        launched=ago(180),
        zone="b",
    )
    r.fleet(
        "data-prod-worker",
        2,
        "m5.xlarge",
        image=linux,
        root=disk(100, "gp3"),
        launched=ago(75),
        zone="c",
    )
    r.instance("sre-prod-bastion", "t3.micro", image=linux, root=disk(8, "gp3"), launched=ago(600))
    r.adds_up_to(findings=3, saves=3_000_000)
    return _Base(linux, builder, fleet[0])


def _previous_generation(r: RegionPlanter, linux: str) -> None:
    windows = r.foreign_image("Windows_Server-2022-English-Full-Base", "windows", "Windows")
    rhel = r.foreign_image("RHEL-9.4.0_HVM-x86_64-GP3", details="Red Hat Enterprise Linux")

    def run(name: str, type: str, *saves: Saving, count: int = 1, **options: Any) -> None:
        expects = [finds(PREVIOUS, saves=amount) for amount in saves]
        options = {"image": linux, "launched": ago(900), "root": disk(20, "gp3"), **options}
        r.fleet(name, count, type, *expects, **options)

    run("growth-prod-web", "m4.large", 2_920_000, count=2)  # hour 100,000 - 96,000
    run("growth-staging-web", "m4.xlarge", 5_840_000)  # hour 200,000 - 192,000
    run("ml-prod-features", "r4.large", 5_110_000)  # hour 133,000 - 126,000
    run("ml-prod-ranking", "r4.xlarge", 10_220_000)  # hour 266,000 - 252,000
    run("search-prod-ingest", "c4.large", 10_950_000)  # hour 100,000 - 85,000
    run("search-prod-index", "c4.xlarge", 21_170_000)  # hour 199,000 - 170,000
    run("sre-dev-jump", "t2.micro", 876_000)  # hour 11,600 - 10,400
    # A successor, but no price of one of the two.
    run("growth-prod-report", "m4.2xlarge", UNKNOWN)
    run("legacy-prod-cache", "i2.xlarge", UNKNOWN)
    run("legacy-prod-mail", "c3.large", UNKNOWN)
    run("legacy-prod-crm", "m3.large", UNKNOWN)
    # The prices are those of Linux, on demand, on shared hardware.
    run("finance-prod-mssql", "m4.xlarge", UNKNOWN, image=windows)
    run("erp-prod-app", "m4.large", UNKNOWN, image=rhel)
    run("licensing-prod-server", "m4.large", UNKNOWN, tenancy="dedicated")
    run("data-prod-batch", "c4.xlarge", UNKNOWN, spot=True)
    # No successor of that size.
    run("legacy-prod-dns", "m3.medium")
    run("legacy-prod-ftp", "m1.small")
    run("data-prod-hadoop", "m4.10xlarge")
    # Current generation.
    run("finance-prod-directory", "m5.xlarge", image=windows)
    # 2 x 2.92 + 5.84 + 5.11 + 10.22 + 10.95 + 21.17 + 0.876
    r.adds_up_to(findings=16, saves=60_006_000)


def _stopped(r: RegionPlanter, base: _Base) -> Plant:
    sandbox = r.instance(
        "growth-dev-sandbox",
        "t3.micro",
        finds(STOPPED, saves=0),
        image=base.linux,
        root=disk(30, "gp3", finds(ON_STOPPED, saves=2_400_000)),  # 30 x 80,000
        launched=ago(200),
    )
    r.volume(
        "growth-dev-sandbox-data",
        200,
        "gp2",
        finds(ON_STOPPED, saves=20_000_000),  # 200 x 100,000
        finds(GP2, saves=4_000_000),  # 200 x 20,000; the same volume, so only the 20 USD count
        created=ago(200),
        on=sandbox,
    )
    r.stop(sandbox, since=datetime(2026, 9, 1, 10, tzinfo=UTC))

    edge = r.instance(
        "checkout-staging-load-a",
        "m4.large",  # previous generation, but not running
        finds(STOPPED, saves=0),
        image=base.linux,
        root=disk(
            8,
            "gp2",
            finds(ON_STOPPED, saves=800_000),  # 8 x 100,000
            finds(GP2, saves=160_000),  # 8 x 20,000
        ),
        launched=ago(80),
    )
    r.stop(edge, since=ago(30))
    almost = r.instance(
        "checkout-staging-load-b",
        "m5.large",
        image=base.linux,
        root=disk(8, "gp2", finds(GP2, saves=160_000)),  # 8 x 20,000
        launched=ago(80),
    )
    r.stop(almost, since=nearly(30))
    recent = r.instance(
        "data-dev-notebook",
        "r5.large",
        image=base.linux,
        root=disk(100, "gp3"),
        launched=ago(120),
    )
    r.stop(recent, since=ago(14))

    # Stopped, but nobody can tell since when.
    legacy = r.image("legacy-billing-2024.11", builder=base.builder, created=ago(500))
    billing = r.instance(
        "legacy-prod-billing",
        "m4.large",
        image=legacy.id,
        root=disk(40, "standard"),
        launched=ago(490),
    )
    r.stop(billing, reason="")
    fax = r.instance(
        "legacy-prod-fax", "t2.micro", image=base.linux, root=disk(8, "gp3"), launched=ago(700)
    )
    r.stop(fax, reason="Server.ScheduledStop: Stopped due to scheduled retirement")

    bench = r.instance(
        "search-dev-bench",
        "c5.xlarge",
        finds(STOPPED, saves=0),
        image=base.linux,
        root=disk(8, "gp3", finds(ON_STOPPED, saves=640_000)),  # 8 x 80,000
        launched=ago(150),
    )
    r.volume(
        "search-dev-bench-data",
        400,
        "io1",
        finds(ON_STOPPED, saves=310_000_000),  # 400 x 125,000 + 4,000 x 65,000
        # 310,000,000 - (400 x 80,000 + 1,000 x 5,000 + 375 x 40,000)
        finds(PIOPS, saves=258_000_000),
        iops=4_000,
        created=ago(150),
        on=bench,
    )
    r.stop(bench, since=ago(120))

    # Listed for a while after its end; uses no image any more.
    train = r.image(
        "ml-train-2026.05", finds(UNUSED, saves=UNKNOWN), builder=base.builder, created=ago(180)
    )
    done = r.instance(
        "ml-dev-train", "c4.large", image=train.id, root=disk(60, "gp2"), launched=ago(3)
    )
    r.terminate(done, since=ago(0, minutes=30))
    # 2.4 + 20 + 0.8 + 0.16 + 0.64 + 310
    r.adds_up_to(findings=13, saves=334_000_000)
    return sandbox


def _snapshots(r: RegionPlanter, base: _Base, data: Plant) -> Plant:
    for day in range(1, 7):
        daily = r.snapshot(f"payments-prod-db-daily-{day:02}", of=data, taken=ago(day, hours=2))
    for days in (31, 62):
        r.snapshot(f"payments-prod-db-monthly-{days:03}", of=data, taken=ago(days))
    r.snapshot("payments-prod-db-monthly-089", of=data, taken=nearly(90))
    old = finds(OLD, saves=UNKNOWN)
    for days in (90, 121, 151, 182, 366):
        r.snapshot(f"payments-prod-db-monthly-{days:03}", old, of=data, taken=ago(days))
    r.snapshot("data-prod-lake-final", old, of=data, taken=ago(500), archived=True)

    orphaned = finds(ORPHANED, saves=UNKNOWN)
    r.snapshot("growth-dev-import-29", gone=80, taken=nearly(30))
    r.snapshot("growth-dev-import-30", orphaned, gone=80, taken=ago(30))
    r.snapshot(
        "growth-dev-import-45",
        orphaned,
        gone=120,
        taken=ago(45),
        tags={"Name": 'before "clean-up" & <b>migration</b>', "owner": "Zoë Ångström"},
    )
    r.snapshot("growth-dev-import-200", old, orphaned, gone=250, taken=ago(200))
    # Not completed.
    r.snapshot("search-dev-index-broken", gone=500, taken=ago(200), status="error")
    r.snapshot("payments-prod-db-hourly", of=data, taken=ago(0, hours=1), status="pending")
    # The volume id of a copy says nothing about its source.
    r.snapshot_copy("payments-prod-db-copy-020", of=daily, taken=ago(20))
    r.snapshot_copy("payments-prod-db-copy-060", of=daily, taken=ago(60))
    r.snapshot_copy("payments-prod-db-copy-400", old, of=daily, taken=ago(400))

    retired = r.image("golden-base-2025.11", builder=base.builder, created=ago(250))
    r.deregister(retired, old, orphaned)
    r.adds_up_to(findings=13, saves=0)
    return daily


def _images(r: RegionPlanter, base: _Base) -> None:
    unused, builder = finds(UNUSED, saves=UNKNOWN), base.builder
    r.image("search-index-2026.08.17", unused, builder=builder, created=ago(90))
    r.image("search-index-2026.08.18", builder=builder, created=nearly(90))
    r.image(
        "partner-kit-2026.01", unused, builder=builder, created=ago(300), shared_with="999988887777"
    )
    r.image(
        "growth [ab-test] (v2) 'blue'@2025",
        unused,
        builder=builder,
        created=ago(340),
        tags={"owner": "growth & friends", "purpose": "<ab-test>"},
    )
    r.image("community-agent-2025.12", builder=builder, created=ago(330), public=True)
    r.image("golden-base-2025.12", builder=builder, created=ago(320), disabled=True)
    r.image("search-index-2026.06", builder=builder, created=ago(150), failed=True)
    r.adds_up_to(findings=3, saves=0)


def _network(r: RegionPlanter, base: _Base, sandbox: Plant) -> None:
    nat = r.interface(
        "platform-prod-nat",
        "Interface for NAT Gateway nat-0d3f1c5a7b9e2046c",
        managed=True,
        in_use=True,
    )
    r.address("platform-prod-nat", "203.0.113.10", on=nat)
    r.address("payments-prod-api", "203.0.113.11", on=base.front)
    r.address("platform-prod-builder", "203.0.113.12", on=base.builder)
    r.address("growth-dev-sandbox", "203.0.113.13", on=sandbox)
    idle = finds(IDLE_IP, saves=3_650_000)  # 5,000 x 730
    r.address("checkout-staging-vpn", "203.0.113.20", idle)
    r.address("untagged", "203.0.113.21", idle, tags={})
    r.address(
        "quoted",
        "203.0.113.22",
        idle,
        tags={"Name": "O’Reilly’s & Söhne 'old' <gateway>", "ticket": "OPS-1 / OPS-2"},
    )

    detached = finds(DETACHED, saves=0)
    r.interface("checkout-staging-failover", "warm standby of the load test", detached)
    r.interface("data-dev-probe", "left by a <deleted> probe & forgotten", detached, zone="b")
    r.interface("untagged", "", detached, tags={}, zone="c")
    r.interface("payments-prod-api-admin", "admin network", on=base.front)
    r.interface("lambda", "AWS Lambda VPC ENI-report-5c1f", managed=True)
    r.interface("rds", "RDSNetworkInterface", managed=True)
    r.interface("endpoint", "VPC Endpoint Interface vpce-0a1b2c3d", managed=True, in_use=True)
    r.adds_up_to(findings=6, saves=10_950_000)
