//! The data: tables per organization, drafts of changes to them, and what is derived from them.

mod database;
mod deadlines;
mod draft;
mod outbox;
mod queue;
mod sessions;
mod table;

pub(crate) use database::Database;
pub(crate) use draft::{DedupeKey, Draft, JobRow, JobSpec, Tables};
pub(crate) use table::Overlay;
