//! What the programs of this folder share: the key file on disk, logs, signals.

pub mod keys;
pub mod logs;
pub mod signals;
