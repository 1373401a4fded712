"""The data volumes of us-east-1, in use and left over.

Amounts are worked out by hand from the price table of 2026-11-01, in micro-USD a month; the comment
at one shows the arithmetic. `hour` is an hourly price difference, 730 hours a month. A plant
without `finds` must lead to no finding. Sums at the end of a section are added up by hand too.
"""

from __future__ import annotations

from typing import Any

from seeder.planter import UNKNOWN, Plant, RegionPlanter, ago, disk, finds, nearly
from seeder.truth import GP2, PIOPS, UNATTACHED, Expect


def in_use(r: RegionPlanter, linux: str) -> Plant:
    running = {"image": linux, "launched": ago(300), "root": disk(50, "gp3"), "zone": "b"}
    db = r.instance("payments-prod-db", "r5.xlarge", **running)
    lake = r.instance("data-prod-lake", "r5.xlarge", **running)
    devices = {db.id: iter("fghijklmnopqrstu"), lake.id: iter("fghijklmnopqrstu")}

    def use(on: Plant, name: str, gib: int, type: str, *expects: Expect, **options: Any) -> Plant:
        device = f"/dev/sd{next(devices[on.id])}"
        return r.volume(
            name, gib, type, *expects, on=on, device=device, created=ago(290), **options
        )

    data = use(
        db,
        "payments-prod-db-data",
        500,
        "io1",
        # 500 x 125,000 + 16,000 x 65,000 - (500 x 80,000 + 13,000 x 5,000 + 375 x 40,000)
        finds(PIOPS, saves=982_500_000),
        iops=16_000,
    )
    use(db, "payments-prod-db-wal", 500, "io1", iops=16_001)
    use(
        db,
        "payments-prod-db-orders",
        200,
        "io2",
        # 200 x 125,000 + 3,000 x 65,000 - (200 x 80,000 + 375 x 40,000)
        finds(PIOPS, saves=189_000_000),
        iops=3_000,
    )
    use(
        db,
        "payments-prod-db-refunds",
        200,
        "io1",
        # 200 x 125,000 + 3,001 x 65,000 - (200 x 80,000 + 1 x 5,000 + 375 x 40,000)
        finds(PIOPS, saves=189_060_000),
        iops=3_001,
    )
    # A quarter of the IOPS as MiB/s, rounded down, from 125 to 500.
    use(
        db,
        "payments-prod-db-undo",
        100,
        "io1",
        finds(PIOPS, saves=37_000_000),  # 100 x 125,000 + 500 x 65,000 - 100 x 80,000
        iops=500,
    )
    use(
        db,
        "payments-prod-db-redo",
        100,
        "io1",
        finds(PIOPS, saves=37_130_000),  # 100 x 125,000 + 502 x 65,000 - 100 x 80,000
        iops=502,
    )
    use(
        db,
        "payments-prod-db-temp",
        100,
        "io1",
        finds(PIOPS, saves=37_220_000),  # 12,500,000 + 504 x 65,000 - (8,000,000 + 1 x 40,000)
        iops=504,
    )
    use(
        db,
        "payments-prod-db-audit",
        100,
        "io1",
        # 12,500,000 + 2,004 x 65,000 - (8,000,000 + 375 x 40,000)
        finds(PIOPS, saves=119_760_000),
        iops=2_004,
    )
    use(
        lake,
        "data-prod-lake-raw",
        16_384,
        "io2",
        # 16,384 x 125,000 + 3,000 x 65,000 - (16,384 x 80,000 + 375 x 40,000)
        finds(PIOPS, saves=917_280_000),
        iops=3_000,
    )
    use(lake, "data-prod-lake-refined", 16_385, "io2", iops=3_000)
    use(lake, "data-prod-lake-hot", 500, "io2", iops=32_000)
    use(lake, "data-prod-lake-hottest", 1_000, "io2", iops=64_000)

    use(lake, "data-prod-lake-config", 1, "gp2", finds(GP2, saves=20_000))  # 1 x 20,000
    # gp2 has 3 IOPS per GiB; above 1,000 GiB the gp3 must buy the IOPS over 3,000.
    use(lake, "data-prod-lake-a", 1_000, "gp2", finds(GP2, saves=20_000_000))  # 1,000 x 20,000
    # 1,001 x 20,000 - 3 x 5,000
    use(lake, "data-prod-lake-b", 1_001, "gp2", finds(GP2, saves=20_005_000))
    # 2,000 x 20,000 - 3,000 x 5,000
    use(lake, "data-prod-lake-c", 2_000, "gp2", finds(GP2, saves=25_000_000))
    # 6,000 x 20,000 - 13,000 x 5,000; gp2 ends at 16,000 IOPS
    use(lake, "data-prod-lake-d", 6_000, "gp2", finds(GP2, saves=55_000_000))

    use(lake, "data-prod-lake-e", 1_000, "gp3")
    use(lake, "data-prod-lake-f", 500, "gp3", iops=8_000, throughput=500)
    use(lake, "data-prod-lake-g", 2_000, "st1")
    use(lake, "data-prod-lake-h", 4_000, "sc1")
    use(lake, "data-prod-lake-i", 100, "standard")
    # 982.5 + 189 + 189.06 + 37 + 37.13 + 37.22 + 119.76 + 917.28 = 2,508.95
    # 0.02 + 20 + 20.005 + 25 + 55 = 120.025
    r.adds_up_to(findings=13, saves=2_628_975_000)
    return data


def unattached(r: RegionPlanter) -> None:
    r.volume(
        "payments-dev-data",
        100,
        "gp2",
        finds(UNATTACHED, saves=10_000_000),  # 100 x 100,000
        finds(GP2, saves=2_000_000),  # 100 x 20,000
        created=ago(7),
    )
    # Too young by a second to be called unattached; still gp2.
    r.volume("checkout-dev-import", 100, "gp2", finds(GP2, saves=2_000_000), created=nearly(7))
    r.volume("checkout-dev-today", 50, "gp3", created=ago(1), zone="c")
    r.volume(
        "search-dev-index",
        500,
        "gp3",
        finds(UNATTACHED, saves=50_000_000),  # 500 x 80,000 + 1,000 x 5,000 + 125 x 40,000
        iops=4_000,
        throughput=250,
        created=ago(90),
    )
    r.volume(
        "payments-dev-replay",
        100,
        "io1",
        finds(UNATTACHED, saves=77_500_000),  # 100 x 125,000 + 1,000 x 65,000
        finds(PIOPS, saves=64_500_000),  # 77,500,000 - (100 x 80,000 + 125 x 40,000)
        iops=1_000,
        created=ago(45),
    )
    r.volume(
        "data-dev-logs",
        500,
        "st1",
        finds(UNATTACHED, saves=22_500_000),  # 500 x 45,000
        created=ago(60),
    )
    r.volume(
        "data-dev-cold",
        1_000,
        "sc1",
        finds(UNATTACHED, saves=15_000_000),  # 1,000 x 15,000
        created=ago(400),
        tags={"Name": "data-dev-cold", "why": "kept for the auditors; " * 11 + "ok?"},
    )
    r.volume(
        "legacy-prod-export",
        200,
        "standard",
        finds(UNATTACHED, saves=10_000_000),  # 200 x 50,000
        created=ago(900),
    )
    r.volume(
        "ml-dev-scratch-a",
        64,
        "io2",
        finds(UNATTACHED, saves=2_088_000_000),  # 64 x 125,000 + 32,000 x 65,000
        iops=32_000,
        created=ago(10),
    )
    # One more, and the price of the IOPS is not in the table.
    r.volume(
        "ml-dev-scratch-b",
        64,
        "io2",
        finds(UNATTACHED, saves=UNKNOWN),
        iops=32_001,
        created=ago(10),
    )
    r.volume(
        "script-in-tags",
        20,
        "gp3",
        finds(UNATTACHED, saves=1_600_000),  # 20 x 80,000
        created=ago(33),
        tags={
            "Name": "José’s café ☕ <script>alert('x')</script>",
            "owner": '"Ops & Friends" <ops@example.com>',
            "note": "",
        },
    )
    r.volume(
        "untagged",
        10,
        "gp3",
        finds(UNATTACHED, saves=800_000),  # 10 x 80,000
        created=ago(8),
        tags={},
    )
    r.volume(
        "unicode-in-tags",
        10,
        "gp3",
        finds(UNATTACHED, saves=800_000),  # 10 x 80,000
        created=ago(8),
        tags={
            "Name": "分析用ボリューム 🗄️",
            "équipe": "données",
            "aws:backup:source": "]]> &amp; %00",
        },
    )
    r.volume(
        "finance-dev-ledger",
        40,
        "gp3",
        finds(UNATTACHED, saves=3_200_000),  # 40 x 80,000
        created=ago(20),
        encrypted=True,
    )
    # 10 + 2 + 50 + 77.5 + 22.5 + 15 + 10 + 2,088 + 1.6 + 0.8 + 0.8 + 3.2
    r.adds_up_to(findings=15, saves=2_281_400_000)
