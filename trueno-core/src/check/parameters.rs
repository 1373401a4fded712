//! A check's parameters: named whole numbers with a default and bounds.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A parameter of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, such as `min_age_days`.
    pub name: &'static str,
    /// Its value unless overridden.
    pub default: i64,
    /// The smallest value allowed.
    pub min: i64,
    /// The largest value allowed.
    pub max: i64,
}

/// The parameters of one check, all of them valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    values: BTreeMap<&'static str, i64>,
}

impl Parameters {
    /// The defaults.
    #[must_use]
    pub fn defaults(of: &[Parameter]) -> Self {
        Self {
            values: of
                .iter()
                .map(|parameter| (parameter.name, parameter.default))
                .collect(),
        }
    }

    /// The value of a parameter; 0 for a name that the check does not declare.
    #[must_use]
    pub fn get(&self, name: &str) -> i64 {
        debug_assert!(
            self.values.contains_key(name),
            "the check declares no parameter {name}"
        );
        self.values.get(name).copied().unwrap_or_default()
    }

    /// Overrides one value.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) for an unknown name or a
    /// value that is no whole number within bounds.
    pub fn set(&mut self, check: &str, of: &[Parameter], name: &str, value: &str) -> Result<()> {
        let field = format!("{check}.{name}");
        let Some(parameter) = of.iter().find(|parameter| parameter.name == name) else {
            let names: Vec<&str> = of.iter().map(|parameter| parameter.name).collect();
            let known = if names.is_empty() {
                "this check has none".to_owned()
            } else {
                format!("this check has {}", names.join(", "))
            };
            return Err(Error::invalid(
                &field,
                &format!("no such parameter; {known}"),
            ));
        };
        let (min, max) = (parameter.min, parameter.max);
        let value = value
            .parse::<i64>()
            .ok()
            .filter(|value| (min..=max).contains(value))
            .ok_or_else(|| {
                Error::invalid(&field, &format!("needs a whole number from {min} to {max}"))
            })?;
        self.values.insert(parameter.name, value);
        Ok(())
    }

    /// SHA-256 over names and values, as hex: goes into each finding.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (name, value) in &self.values {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(value.to_be_bytes());
        }
        HEXLOWER.encode(&hash.finalize())
    }
}
