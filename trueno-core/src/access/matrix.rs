//! The closed matrix of roles and actions.

use crate::model::Role;
use crate::text::text_enum;

text_enum! {
    /// What a member can ask for.
    pub enum Action as "action" {
        /// Read what the organization has.
        Read = "read",
        /// Request and cancel scans.
        Scan = "scan",
        /// Connect, verify, pause and disconnect cloud accounts.
        ManageAccounts = "manage_accounts",
        /// Seal, rotate and remove secrets.
        ManageSecrets = "manage_secrets",
    }
}

impl Action {
    /// True for an action that changes something: only its scope opens a unit of work.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// Whether `role` allows `action`.
#[must_use]
pub const fn allows(role: Role, action: Action) -> bool {
    match action {
        Action::Read => true,
        Action::Scan => matches!(role, Role::Owner | Role::Admin | Role::Analyst),
        Action::ManageAccounts | Action::ManageSecrets => matches!(role, Role::Owner | Role::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole matrix, so that a change of it is seen in review.
    #[test]
    fn the_matrix_is_as_written() {
        let mut lines = Vec::new();
        for role in Role::ALL {
            let allowed: Vec<&str> = Action::ALL
                .iter()
                .filter(|a| allows(*role, **a))
                .map(|a| a.as_str())
                .collect();
            lines.push(format!("{role}: {}", allowed.join(" ")));
        }
        assert_eq!(
            lines,
            [
                "owner: read scan manage_accounts manage_secrets",
                "admin: read scan manage_accounts manage_secrets",
                "approver: read",
                "analyst: read scan",
                "viewer: read",
            ]
        );
    }
}
