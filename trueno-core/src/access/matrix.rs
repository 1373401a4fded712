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
        /// Acknowledge, assign and comment on findings; ask for exceptions.
        WorkFindings = "work_findings",
        /// Approve, reject and withdraw exceptions.
        DecideExceptions = "decide_exceptions",
        /// Make, pause and remove schedules.
        ManageSchedules = "manage_schedules",
        /// Add members, change their roles and remove them.
        ManageMembers = "manage_members",
        /// Read who did what.
        ReadAudit = "read_audit",
        /// Export everything that the organization has.
        Export = "export",
        /// Erase the organization.
        EraseOrganization = "erase_organization",
    }
}

impl Action {
    /// True for an action that changes something: only its scope opens a unit of work.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read | Self::ReadAudit | Self::Export)
    }
}

/// Whether `role` allows `action`.
#[must_use]
pub const fn allows(role: Role, action: Action) -> bool {
    use Role::{Admin, Analyst, Approver, Owner};
    match action {
        Action::Read => true,
        Action::Scan => matches!(role, Owner | Admin | Analyst),
        Action::WorkFindings => matches!(role, Owner | Admin | Approver | Analyst),
        Action::DecideExceptions | Action::ReadAudit => matches!(role, Owner | Admin | Approver),
        Action::ManageAccounts
        | Action::ManageSecrets
        | Action::ManageSchedules
        | Action::ManageMembers
        | Action::Export => matches!(role, Owner | Admin),
        Action::EraseOrganization => matches!(role, Owner),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The whole matrix, and which actions change something, so that a change of it is seen in review.
    #[test]
    fn the_matrix_is_as_written() {
        let mut table = String::from("| action | changes |");
        for role in Role::ALL {
            write!(table, " {role} |").unwrap();
        }
        table.push_str("\n|---|---|");
        table.push_str(&"---|".repeat(Role::ALL.len()));
        for action in Action::ALL {
            write!(table, "\n| {action} |").unwrap();
            let cells = Role::ALL.iter().map(|role| allows(*role, *action));
            for is_so in std::iter::once(action.writes()).chain(cells) {
                write!(table, " {} |", if is_so { "yes" } else { "-" }).unwrap();
            }
        }
        table.push('\n');
        assert_eq!(
            table,
            include_str!("matrix.golden.md"),
            "the golden file should be:\n{table}"
        );
    }
}
