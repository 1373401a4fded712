//! Keys and what is derived from them.

mod external_id;
mod key_file;

pub use external_id::{ExternalId, derive_external_id};
pub use key_file::{Key, KeyFile};
