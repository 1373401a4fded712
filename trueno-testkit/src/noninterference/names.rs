//! Who acts, and the names that each side gives to what it makes.

use trueno_core::id::derived;
use trueno_core::model::JobKind;
use uuid::Uuid;

/// One of the two organizations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The neighbour.
    A,
    /// The one whose transcript is kept.
    B,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// What texts and tags of this side say.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::A => "alpha",
            Self::B => "beta",
        }
    }
}

/// What something is that has an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    Organization,
    User,
    Account,
    Scan,
    Job,
    Comment,
    Exception,
    Schedule,
    Session,
}

/// A side's names in one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) seed: u64,
    pub(super) side: Side,
}

impl Names {
    /// The side's nth id of this kind: the same whether or not the side is there.
    pub(super) fn id<I: From<Uuid>>(self, thing: Thing, nth: u32) -> I {
        derived(
            "trueno noninterference v1",
            &[
                &self.seed.to_be_bytes(),
                self.side.label().as_bytes(),
                &[thing as u8],
                &nth.to_be_bytes(),
            ],
        )
    }

    /// The kind of the jobs that run this side's scans: claimed by this side alone.
    pub(super) fn scan_kind(self) -> JobKind {
        self.kind("scan")
    }

    /// The kind of this side's jobs without a scan: claimed by this side alone.
    pub(super) fn work_kind(self) -> JobKind {
        self.kind("work")
    }

    fn kind(self, what: &str) -> JobKind {
        format!("{what}.{}.{:016x}", self.side.label(), self.seed)
            .parse()
            .unwrap()
    }
}

/// The kind of jobs that both sides enqueue under the same dedupe keys, and nobody claims.
pub(super) const SHARED_KIND: JobKind = JobKind::known("shared");
