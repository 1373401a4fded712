//! What keeps a queue's storage from being cleaned up.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What holds the horizon back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HorizonHolder {
    /// A connection with an open transaction.
    Session,
    /// A transaction that was prepared, and neither committed nor rolled back.
    PreparedTransaction,
    /// A place that the server keeps for a replica.
    ReplicationSlot,
}

/// Whoever has held the **horizon** back for longest: what was deleted or updated after it began is kept
/// for it, though nobody else needs it, and each claim goes past it. A queue that deletes as fast as this
/// one suffers first.
///
/// It says who, for the operator who ends it: no statement and nothing of any organization. What the
/// store may not see is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizon {
    /// What it is.
    pub holder: HorizonHolder,
    /// The server's process.
    pub pid: Option<u32>,
    /// What a session, a prepared transaction or a slot calls itself.
    pub name: Option<String>,
    /// As whom it logged in.
    pub login: Option<String>,
    /// What it does, in the server's words: `idle in transaction`, for one.
    pub state: Option<String>,
    /// When the store looked, by its own clock.
    pub looked_at: Timestamp,
    /// Since when it holds the horizon back.
    pub since: Option<Timestamp>,
    /// Since when it is in this state.
    pub state_since: Option<Timestamp>,
    /// Where it holds it: the same for as long as the same transaction does.
    pub position: u64,
    /// How many transactions that wrote began since.
    pub transactions: u64,
}

impl Horizon {
    /// How long it holds the horizon back, where the store may see that.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let age = self.looked_at.duration_since(self.since?);
        Some(Duration::try_from(age).unwrap_or_default())
    }
}

/// One line for people.
impl fmt::Display for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.holder {
            HorizonHolder::Session => "session",
            HorizonHolder::PreparedTransaction => "prepared transaction",
            HorizonHolder::ReplicationSlot => "replication slot",
        })?;
        if let Some(pid) = self.pid {
            write!(f, " {pid}")?;
        }
        let said = [&self.name, &self.login, &self.state];
        let said: Vec<&str> = said.into_iter().flatten().map(String::as_str).collect();
        if !said.is_empty() {
            write!(f, " ({})", said.join(", "))?;
        }
        match (self.since, self.age()) {
            (Some(since), Some(age)) => write!(f, " since {since}, for {} s", age.as_secs())?,
            _ => f.write_str(" for a time that the store may not see")?,
        }
        write!(f, ", past {} transactions", self.transactions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_seen_and_what_is_not() {
        let looked_at = Timestamp::constant(1_767_225_600, 0);
        let mut horizon = Horizon {
            holder: HorizonHolder::Session,
            pid: Some(77),
            name: Some("report".to_owned()),
            login: Some("analyst".to_owned()),
            state: Some("idle in transaction".to_owned()),
            looked_at,
            since: Some(looked_at - Duration::from_secs(900)),
            state_since: None,
            position: 1,
            transactions: 12,
        };
        assert_eq!(
            horizon.to_string(),
            "session 77 (report, analyst, idle in transaction) since 2025-12-31T23:45:00Z, \
             for 900 s, past 12 transactions"
        );
        (horizon.since, horizon.state) = (None, None);
        assert_eq!(horizon.age(), None);
        assert_eq!(
            horizon.to_string(),
            "session 77 (report, analyst) for a time that the store may not see, \
             past 12 transactions"
        );
    }
}
