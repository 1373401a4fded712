//! Closed sets of names: one macro gives an enum its text form, which adapters store and JSON shows.

macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident as $label:literal {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The text that stands for it in stores and in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> $crate::error::Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::error::Error::invalid(
                        $label,
                        concat!("is none of: ", $($text, " ",)+),
                    )),
                }
            }
        }
    };
}

pub(crate) use text_enum;

use crate::error::{Error, Result};

/// Passes text that every store can keep: databases keep no NUL.
pub(crate) fn without_nul(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(field, "holds a NUL, which cannot be stored"));
    }
    Ok(())
}

/// The same for every text in a JSON value, keys included.
pub(crate) fn json_without_nul(field: &str, value: &serde_json::Value) -> Result<()> {
    use serde_json::Value;
    match value {
        Value::String(text) => without_nul(field, text),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| json_without_nul(field, item)),
        Value::Object(entries) => entries.iter().try_for_each(|(key, value)| {
            without_nul(field, key)?;
            json_without_nul(field, value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}
