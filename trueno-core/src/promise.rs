//! The promises, by id: tests, assertions and docs refer to them.

/// A promise that Trueno keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Its id, such as `P1`.
    pub id: &'static str,
    /// What is promised.
    pub text: &'static str,
}

macro_rules! promises {
    ($($name:ident = $id:literal, $text:literal;)*) => {
        $(
            #[doc = concat!($id, ": ", $text)]
            pub const $name: Promise = Promise { id: $id, text: $text };
        )*

        /// Every promise, in order.
        pub const ALL: &[Promise] = &[$($name),*];
    };
}

promises! {
    ISOLATION = "P1", "No organization's row, value or existence is visible to another, even if application code forgets its filter.";
    ATOMICITY = "P2", "A state change, the job it enqueues and its audit event commit together or not at all.";
    FENCING = "P3", "Every effect of a job is fenced by its lease token: a worker that lost its lease changes nothing any more.";
    READ_ONLY = "P4", "No operation of Trueno's cloud clients outside the read allow-list leaves the process.";
    NO_STORED_CREDENTIALS = "P5", "Short-lived credentials live only in the memory of one scan.";
    SEALED_SECRETS = "P6", "Secrets at rest are AES-256-GCM envelopes bound to organization, secret, version and purpose.";
    PROVABLE_HISTORY = "P7", "Audit events are append-only, ordered and tamper-evident.";
    HONEST_COVERAGE = "P8", "What could not be read is reported; a finding is resolved only by a complete look.";
    HONEST_MONEY = "P9", "An unknown price is unknown, never 0; no saving is counted twice.";
    TIME = "P10", "Leases use the store's own clock; everything else takes an injected clock.";
    CONSENT = "P11", "An action runs only with an unexpired approval, by somebody else, of exactly the plan that runs.";
}
