//! What the programs of this folder share: how they run and end, the key file on disk, logins to the store,
//! logs, metrics and probes, output, signals.

pub mod keys;
pub mod logins;
pub mod logs;
pub mod operations;
pub mod output;
pub mod private;
pub mod program;
pub mod signals;
