//! Two-tenant non-interference (P1): whatever one organization does, what another one is answered
//! stays the same to the byte.
//!
//! A [`run`] plays a seeded script of one organization, B, against a store, with or without another
//! one, A, that acts in between: between the steps of B, and while B has a view, a unit of work or a
//! batch open. It gives B's [`Transcript`]: every answer, page, count and cursor, and every error
//! with its kind, message, operation and code, its retry advice and whether it was certainly not
//! applied. The transcripts of both runs have to be equal.
//!
//! # What the two do
//!
//! Both live the same kind of life: each connects an account, requests a scan of it, claims and
//! ingests, and then takes steps drawn at random: members, accounts, scans, jobs, leases, batches,
//! their limits in the queue, findings, exceptions, schedules, and reads of all of them by random
//! filters, in small pages, with cursors carried from step to step. A may erase itself. At its end B
//! reads everything, exports itself, erases itself and reads what is left.
//!
//! - **They share names.** Every id that either makes is a function of the seed, who makes it and a
//!   number, whether or not A is there. Each draws some of its ids from the other's: for accounts,
//!   scans, jobs, exceptions, comments, schedules and members. Keys, native ids, dedupe keys and
//!   account numbers are the same in both; names, tags and texts say whose they are.
//! - **B reaches for what is A's**: it reads and writes under ids of A, filters by them, and asks to
//!   be let into A's organization.
//! - **A disturbs nothing by existing**: it has a random source of its own, and time passes at B's
//!   steps only. Where it had to wait for something of B's until it gave up, B's transcript says so.
//!
//! What belongs to no organization is part of the stage, not of the play. Taking back orphans,
//! lapsing exceptions, firing schedules that are due (by one scheduler for everybody) and emptying
//! the outbox reach every organization, so B's script does that, in both runs, and what these answer to their operator (counts over everybody) is not B's. Ids of
//! organizations are one name space ([`TenantStore::create_organization`] says so), and each worker
//! session is one process's: those are never shared.
//!
//! # What is renamed
//!
//! 1. **What the store makes at random**: ids of audit events and lease tokens, the only UUIDs of
//!    version 7, since the script's own are of version 8. Each is replaced by the number of its first
//!    appearance. They are random, so their bits tell nothing; where the same one appears again, and
//!    where another, still shows. An id of A's in a place of B's would be a further number.
//! 2. **Moments**, in [`Transcript::timeless`] only, for stores whose clock cannot be injected.
//!    Each is replaced by how many others the same field of the same row had before it: the first is
//!    0, and a moment that changed between two reads is 1. So a row of B's that was touched shows.
//!    Moments of different rows are not compared with each other: whether two rows of one statement
//!    have the same microsecond is chance. Nor is at which minute of the hour schedules fire.
//!
//! Nothing else is: not a UUID of another version, not a number, not an order. Cursors are shown as
//! the text that they encode, and then treated as everything else.
//!
//! [`TenantStore::create_organization`]: trueno_core::port::TenantStore::create_organization

mod figures;
mod life;
mod names;
mod stage;
mod steps;
mod transcript;

use crate::harness::StoreHarness;
pub use figures::Figures;
use life::Life;
use names::Side;
use stage::Stage;
pub use transcript::{Difference, Transcript};

/// Whether A is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// A acts between B's steps, and within them.
    Busy,
    /// There is no A.
    Absent,
}

/// Plays the script of `seed`.
///
/// The store may hold what earlier runs left behind, of other seeds: every run makes organizations
/// and kinds of jobs of its own. Only one run at a time uses a store, since time passes for all, and
/// what reaches every organization reaches those of other runs too.
///
/// Its future is not `Send`: drive it with `block_on` or on a local set.
///
/// # Panics
/// Where the store refuses B its organization, or the sequencer its events.
pub async fn run(harness: &dyn StoreHarness, seed: u64, neighbour: Neighbour) -> Transcript {
    let a = match neighbour {
        Neighbour::Busy => Some(Life::new(seed, Side::A)),
        Neighbour::Absent => None,
    };
    let stage = Stage::new(harness, a).await;
    let mut b = Life::new(seed, Side::B);
    stage.pause().await;
    for _ in 0..b.length() {
        b.act(&stage).await;
    }
    b.end(&stage).await;
    let acts = stage.clear().await;
    b.into_transcript(acts)
}
