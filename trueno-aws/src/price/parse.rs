//! Reads and validates a price table.

use std::collections::btree_map::Entry;
use std::fmt;

use jiff::civil::Date;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::model::Region;
use trueno_core::money::{Money, Price, PriceSource, PriceUnit};

use super::PriceTable;
use super::sku::{self, Known};

const FORMAT: u32 = 1;
const EVERYWHERE: &str = "*";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(rename = "note", default)]
    _note: String,
    currency: String,
    prices: Rows,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    sku: String,
    unit: String,
    regions: Vec<String>,
    price_micros: i64,
    source: String,
    as_of: String,
}

/// Rows, read one by one so that an error can say which one it is in.
struct Rows(Vec<Row>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of prices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows, A::Error> {
                let mut rows = Vec::new();
                loop {
                    let number = rows.len() + 1;
                    let row = seq.next_element().map_err(|error| {
                        A::Error::custom(format_args!("entry {number}: {error}"))
                    })?;
                    match row {
                        Some(row) => rows.push(row),
                        None => return Ok(Rows(rows)),
                    }
                }
            }
        }

        deserializer.deserialize_seq(Each)
    }
}

pub(super) fn table(text: &str) -> Result<PriceTable> {
    let file: File = serde_json::from_str(text).map_err(|source| {
        config(format!(
            "{source}; the file is a JSON object with format, currency and prices, and a price has \
             exactly sku, unit, regions, price_micros (a whole number of micro-USD), source and \
             as_of"
        ))
        .with_source(source)
    })?;
    if file.format != FORMAT {
        let problem = format!(
            "format is {}; this version reads format {FORMAT}",
            file.format
        );
        return Err(config(problem));
    }
    if file.currency != "USD" {
        let problem = format!(
            "currency is {:?}; only USD is known: convert the prices and write \"USD\"",
            file.currency
        );
        return Err(config(problem));
    }
    let mut table = PriceTable::default();
    for (index, row) in file.prices.0.into_iter().enumerate() {
        add(&mut table, index + 1, row)?;
    }
    Ok(table)
}

fn add(table: &mut PriceTable, number: usize, row: Row) -> Result<()> {
    let wrong = |problem: String| config(format!("entry {number} ({}): {problem}", row.sku));
    let price = price(&row).map_err(wrong)?;
    if row.regions.is_empty() {
        return Err(wrong("regions is empty; name at least one".into()));
    }
    let prices = table.skus.entry(row.sku.clone()).or_default();
    for region in &row.regions {
        let wrong = |problem: String| {
            config(format!(
                "entry {number} ({} in {region}): {problem}",
                row.sku
            ))
        };
        let twice = || wrong("there is a price for this SKU and region already; keep one".into());
        if region == EVERYWHERE {
            if row.regions.len() > 1 {
                let problem = "\"*\" stands for every region; name no other beside it";
                return Err(wrong(problem.into()));
            }
            if price.price.micros != 0 {
                let problem = "only what is free can have \"*\"; name the regions of this price";
                return Err(wrong(problem.into()));
            }
            if prices.everywhere.is_some() {
                return Err(twice());
            }
            prices.everywhere = Some(price.clone());
            continue;
        }
        let region: Region = region
            .parse()
            .map_err(|error: Error| wrong(error.to_string()))?;
        match prices.by_region.entry(region) {
            Entry::Occupied(_) => return Err(twice()),
            Entry::Vacant(place) => place.insert(price.clone()),
        };
    }
    Ok(())
}

/// The price of a row; an error is what is wrong with it.
fn price(row: &Row) -> Result<Price, String> {
    let well_named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    if row.sku.is_empty() || !row.sku.chars().all(well_named) {
        return Err("sku needs lower-case letters, digits, dots and hyphens only".into());
    }
    let unit = unit(&row.unit)?;
    match sku::known(&row.sku) {
        Known::As(expected) if expected != unit => {
            let problem = format!(
                "unit is {:?}, but this SKU is priced per {}; convert the price",
                row.unit,
                name(expected)
            );
            return Err(problem);
        }
        Known::Nothing => {
            return Err("no such SKU; the documentation of the price table lists them".into());
        }
        Known::As(_) | Known::Foreign => {}
    }
    if row.price_micros < 0 {
        let problem = format!(
            "price_micros is {}; write a whole number of micro-USD, 0 or more",
            row.price_micros
        );
        return Err(problem);
    }
    if !is_url(&row.source) {
        let problem = format!(
            "source is {:?}; write the http(s) URL where the price was read",
            row.source
        );
        return Err(problem);
    }
    let as_of = day(&row.as_of).ok_or_else(|| {
        format!(
            "as_of is {:?}; write the day on which the price was read as YYYY-MM-DD",
            row.as_of
        )
    })?;
    Ok(Price {
        sku: row.sku.clone(),
        unit,
        price: Money::usd_micros(row.price_micros),
        origin: PriceSource {
            source: row.source.clone(),
            as_of,
        },
    })
}

const UNITS: &[(&str, PriceUnit)] = &[
    ("hour", PriceUnit::Hour),
    ("gib_month", PriceUnit::GibMonth),
    ("iops_month", PriceUnit::IopsMonth),
    ("mibps_month", PriceUnit::MibpsMonth),
];

fn unit(text: &str) -> Result<PriceUnit, String> {
    let found = UNITS.iter().find(|(name, _)| *name == text);
    found.map(|(_, unit)| *unit).ok_or_else(|| {
        let names: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
        format!("unit is {text:?}; write one of {}", names.join(", "))
    })
}

fn name(unit: PriceUnit) -> &'static str {
    let found = UNITS.iter().find(|(_, known)| *known == unit);
    found.map_or("another unit", |(name, _)| name)
}

/// Dates come in one form only: jiff would also take a time behind it and leave it out.
fn day(text: &str) -> Option<Date> {
    text.parse()
        .ok()
        .filter(|day: &Date| day.to_string() == text)
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let in_host = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
        host.starts_with(|c: char| c.is_ascii_alphanumeric())
            && host.chars().all(in_host)
            && rest.chars().all(|c| c.is_ascii_graphic())
    })
}

fn config(problem: String) -> Error {
    Error::new(ErrorKind::Config, format!("price table: {problem}"))
}
