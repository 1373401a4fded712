use jiff::civil::date;
use serde_json::{Value, json};
use trueno_core::error::ErrorKind;
use trueno_core::money::{Money, PriceSource, PriceUnit};

use super::*;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn row() -> Value {
    json!({
        "sku": "ec2.volume.gp3.storage",
        "unit": "gib_month",
        "regions": ["us-east-1"],
        "price_micros": 70_000,
        "source": "https://example.com/agreement",
        "as_of": "2026-12-01"
    })
}

fn row_with(field: &str, value: impl Into<Value>) -> Value {
    let mut row = row();
    row[field] = value.into();
    row
}

fn file(rows: &[Value]) -> String {
    json!({"format": 1, "currency": "USD", "prices": rows}).to_string()
}

/// The message of the error that the text must be refused with.
fn refusal(text: &str) -> String {
    let error = PriceTable::parse(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

fn micros(table: &PriceTable, sku: &str, at: &str) -> Option<i64> {
    match table.quote(sku, &region(at)) {
        Quote::Known(price) => Some(price.price.micros),
        Quote::Unknown => None,
    }
}

#[test]
fn the_builtin_table_has_prices_with_source_and_day() {
    let table = PriceTable::builtin().unwrap();
    let quote = table.quote("ec2.volume.gp3.throughput", &region("eu-west-1"));
    let expected = Price {
        sku: "ec2.volume.gp3.throughput".into(),
        unit: PriceUnit::MibpsMonth,
        price: Money::usd_micros(44_000),
        origin: PriceSource {
            source: "https://aws.amazon.com/ebs/pricing/".into(),
            as_of: date(2026, 11, 1),
        },
    };
    assert_eq!(quote, Quote::Known(expected));
}

/// Every price of the built-in table, as compiled: us-east-1 and us-west-2, then eu-west-1.
#[test]
fn the_builtin_table_has_these_prices() {
    let table = PriceTable::builtin().unwrap();
    let expected = [
        ("ec2.volume.gp2.storage", 100_000, 110_000),
        ("ec2.volume.gp3.storage", 80_000, 88_000),
        ("ec2.volume.gp3.iops", 5_000, 5_500),
        ("ec2.volume.gp3.throughput", 40_000, 44_000),
        ("ec2.volume.io1.storage", 125_000, 138_000),
        ("ec2.volume.io1.iops", 65_000, 72_000),
        ("ec2.volume.io2.storage", 125_000, 138_000),
        ("ec2.volume.io2.iops", 65_000, 72_000),
        ("ec2.volume.st1.storage", 45_000, 50_000),
        ("ec2.volume.sc1.storage", 15_000, 16_800),
        ("ec2.volume.standard.storage", 50_000, 55_000),
        ("ec2.snapshot.standard", 50_000, 50_000),
        ("ec2.address.public-ipv4", 5_000, 5_000),
        ("ec2.instance.linux.m4.large", 100_000, 111_000),
        ("ec2.instance.linux.m4.xlarge", 200_000, 222_000),
        ("ec2.instance.linux.m5.large", 96_000, 107_000),
        ("ec2.instance.linux.m5.xlarge", 192_000, 214_000),
        ("ec2.instance.linux.c4.large", 100_000, 113_000),
        ("ec2.instance.linux.c4.xlarge", 199_000, 226_000),
        ("ec2.instance.linux.c5.large", 85_000, 96_000),
        ("ec2.instance.linux.c5.xlarge", 170_000, 192_000),
        ("ec2.instance.linux.r4.large", 133_000, 148_000),
        ("ec2.instance.linux.r4.xlarge", 266_000, 296_000),
        ("ec2.instance.linux.r5.large", 126_000, 141_000),
        ("ec2.instance.linux.r5.xlarge", 252_000, 282_000),
        ("ec2.instance.linux.t2.micro", 11_600, 12_600),
        ("ec2.instance.linux.t3.micro", 10_400, 11_400),
        ("ec2.instance.stopped", 0, 0),
        ("ec2.network-interface", 0, 0),
    ];
    for (sku, us, eu) in expected {
        assert_eq!(micros(&table, sku, "us-east-1"), Some(us), "{sku}");
        assert_eq!(micros(&table, sku, "us-west-2"), Some(us), "{sku}");
        assert_eq!(micros(&table, sku, "eu-west-1"), Some(eu), "{sku}");
    }
    let names: Vec<&str> = table.skus.keys().map(String::as_str).collect();
    let mut listed: Vec<&str> = expected.iter().map(|(sku, ..)| *sku).collect();
    listed.sort_unstable();
    assert_eq!(names, listed);
}

#[test]
fn what_has_no_row_is_unknown_and_what_is_free_is_free_everywhere() {
    let table = PriceTable::builtin().unwrap();
    assert_eq!(micros(&table, "ec2.volume.gp3.storage", "sa-east-1"), None);
    let unlisted = "ec2.instance.linux.m4.2xlarge";
    assert_eq!(micros(&table, unlisted, "us-east-1"), None);
    let free = "ec2.network-interface";
    assert_eq!(micros(&table, free, "sa-east-1"), Some(0));
}

#[test]
fn an_override_wins_for_its_sku_and_region_alone() {
    let overrides = PriceTable::parse(&file(&[
        row(),
        row_with("regions", json!(["sa-east-1"])),
        json!({
            "sku": "ec2.instance.stopped", "unit": "hour", "regions": ["eu-west-1"],
            "price_micros": 7, "source": "https://example.com/agreement", "as_of": "2026-12-01"
        }),
    ]))
    .unwrap();
    let table = PriceTable::builtin().unwrap().with_overrides(overrides);
    let storage = "ec2.volume.gp3.storage";
    assert_eq!(micros(&table, storage, "us-east-1"), Some(70_000));
    assert_eq!(micros(&table, storage, "sa-east-1"), Some(70_000));
    assert_eq!(micros(&table, storage, "us-west-2"), Some(80_000));
    assert_eq!(
        micros(&table, "ec2.volume.gp3.iops", "us-east-1"),
        Some(5_000)
    );
    assert_eq!(micros(&table, "ec2.instance.stopped", "eu-west-1"), Some(7));
    assert_eq!(micros(&table, "ec2.instance.stopped", "us-east-1"), Some(0));
    let Quote::Known(price) = table.quote(storage, &region("us-east-1")) else {
        panic!("the price is known");
    };
    assert_eq!(price.origin.source, "https://example.com/agreement");
}

#[test]
fn a_corrupt_row_is_refused_with_what_where_and_how_to_mend_it() {
    let cases = [
        (
            row_with("unit", "gb_month"),
            "unit is \"gb_month\"; write one of hour, gib_month, iops_month, mibps_month",
        ),
        (
            row_with("unit", "hour"),
            "unit is \"hour\", but this SKU is priced per gib_month; convert the price",
        ),
        (
            row_with("price_micros", -1),
            "price_micros is -1; write a whole number of micro-USD, 0 or more",
        ),
        (
            row_with("as_of", "2026-02-30"),
            "as_of is \"2026-02-30\"; write the day",
        ),
        (row_with("as_of", "2026-11-01T10:00"), "YYYY-MM-DD"),
        (
            row_with("source", "aws.amazon.com"),
            "write the http(s) URL",
        ),
        (row_with("source", "https://"), "write the http(s) URL"),
        (row_with("source", "https:///ebs"), "write the http(s) URL"),
        (row_with("source", "https://a b/"), "write the http(s) URL"),
        (row_with("regions", json!([])), "name at least one"),
    ];
    for (row, problem) in cases {
        let message = refusal(&file(&[row_with("regions", json!(["eu-west-1"])), row]));
        assert!(
            message.starts_with("price table: entry 2 (ec2.volume.gp3.storage"),
            "{message}"
        );
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn a_bad_region_is_refused_by_name() {
    for (regions, place, problem) in [
        (json!(["us-west-2", "US East"]), "US East", "eu-west-1"),
        (json!(["*"]), "*", "only what is free"),
        (json!(["*", "us-west-2"]), "*", "name no other"),
        (json!(["us-west-2", "us-west-2"]), "us-west-2", "keep one"),
        (json!(["us-west-2", "us-east-1"]), "us-east-1", "keep one"),
    ] {
        let message = refusal(&file(&[row(), row_with("regions", regions)]));
        let start = format!("price table: entry 2 (ec2.volume.gp3.storage in {place}): ");
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn free_everywhere_can_be_said_once() {
    let free = json!({
        "sku": "ec2.network-interface", "unit": "hour", "regions": ["*"], "price_micros": 0,
        "source": "https://example.com/", "as_of": "2026-12-01"
    });
    assert!(PriceTable::parse(&file(std::slice::from_ref(&free))).is_ok());
    assert!(refusal(&file(&[free.clone(), free])).contains("keep one"));
}

#[test]
fn a_mistyped_sku_is_refused_and_a_foreign_one_is_kept() {
    for sku in [
        "ec2.volume.gp4.storage",
        "ec2.volume.gp2.iops",
        "ec2.volume.io2.throughput",
        "ec2.volume.gp3",
        "ec2.instance.linux.m5",
        "ec2.instance.windows.m5.large",
        "ec2.snapshots.standard",
    ] {
        let message = refusal(&file(&[row_with("sku", sku)]));
        assert!(message.contains("no such SKU"), "{sku}: {message}");
    }
    for sku in ["", "EC2.volume", "rds storage"] {
        let message = refusal(&file(&[row_with("sku", sku)]));
        assert!(message.contains("sku needs"), "{sku}: {message}");
    }
    let table = PriceTable::parse(&file(&[row_with("sku", "rds.storage.gp3")])).unwrap();
    assert_eq!(micros(&table, "rds.storage.gp3", "us-east-1"), Some(70_000));
}

#[test]
fn an_entry_of_another_shape_is_refused_with_its_number() {
    let mut missing = row();
    missing.as_object_mut().unwrap().remove("as_of");
    for (row, problem) in [
        (row_with("region", "us-east-1"), "unknown field `region`"),
        (row_with("price_micros", 0.08), "floating point"),
        (row_with("price_micros", "80000"), "invalid type"),
        (missing, "missing field `as_of`"),
        (json!("gp3"), "invalid type"),
    ] {
        let message = refusal(&file(&[row, self::row()]));
        assert!(message.starts_with("price table: entry 1: "), "{message}");
        assert!(message.contains(problem), "{message}");
        assert!(message.contains("a price has exactly sku"), "{message}");
    }
    let twice = file(&[row()]).replace("\"unit\":", "\"unit\":\"hour\",\"unit\":");
    assert!(refusal(&twice).contains("duplicate field `unit`"));
}

#[test]
fn a_file_of_another_shape_is_refused() {
    assert!(refusal("").contains("line 1"));
    assert!(refusal("{\"format\": 1").contains("EOF"));
    assert!(refusal("[]").contains("the file is a JSON object"));
    let with = |field: &str, value: Value| {
        let mut file = json!({"format": 1, "currency": "USD", "prices": []});
        file[field] = value;
        refusal(&file.to_string())
    };
    assert!(with("format", 2.into()).contains("format is 2; this version reads format 1"));
    assert!(with("currency", "EUR".into()).contains("only USD is known"));
    assert!(with("prices", json!({})).contains("a list of prices"));
    assert!(with("price", json!([])).contains("unknown field `price`"));
}
