//! Bad input and failure: a clear message, a non-zero exit, nothing half-written.

mod input;
mod provider;
mod serve;
mod store;
