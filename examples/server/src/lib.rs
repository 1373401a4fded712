//! What the programs of this folder share: the key file on disk, logs, output, signals.

pub mod keys;
pub mod logs;
pub mod output;
pub mod signals;
