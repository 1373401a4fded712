//! What becomes of findings: every change of a row, with its history.

use trueno_core::error::{Error, Result};
use trueno_core::id::{FindingId, UserId};
use trueno_core::model::{
    ChangeOfFinding, Finding, FindingChange, FindingDraft, FindingStatus, Scan, Version,
};
use trueno_core::state::finding::{self, FindingEvent};

use crate::state::Draft;
use crate::tenant_store::{Stamp, member_not_found, require_version};

pub(super) fn not_found() -> Error {
    Error::not_found("finding")
}

impl Draft {
    pub(in crate::tenant_store) fn finding(&self, id: FindingId) -> Result<Finding> {
        self.findings_by_id
            .get(&id)
            .and_then(|key| self.findings.get(key))
            .map(|row| Finding::clone(row))
            .ok_or_else(not_found)
    }

    pub(super) fn finding_at(&self, id: FindingId, version: Version) -> Result<Finding> {
        let row = self.finding(id)?;
        require_version("finding", row.version, version)?;
        Ok(row)
    }

    /// One step of the finding machine.
    pub(in crate::tenant_store) fn move_finding(
        &mut self,
        mut row: Finding,
        event: FindingEvent,
        by: Stamp,
    ) -> Result<Finding> {
        let step = finding::apply(row.status, event)?;
        row.status = step.to;
        row.version += 1;
        self.note_status(&row, Some(step.from), by);
        self.put_finding(row.clone());
        Ok(row)
    }

    /// Makes a member, or nobody, the one to deal with a finding.
    pub(super) fn assign(
        &mut self,
        mut row: Finding,
        assignee: Option<UserId>,
        by: Stamp,
    ) -> Result<Finding> {
        if let Some(user) = assignee {
            if !self.members.contains(&user) {
                return Err(member_not_found());
            }
            self.members.rely_on(user);
        }
        if row.assignee == assignee {
            return Ok(row);
        }
        let change = ChangeOfFinding::Assignee {
            from: row.assignee,
            to: assignee,
        };
        row.assignee = assignee;
        row.version += 1;
        self.note(&row, change, by);
        self.put_finding(row.clone());
        Ok(row)
    }

    /// Takes a user off every finding.
    pub(in crate::tenant_store) fn unassign(&mut self, user: UserId, by: Stamp) -> Result<()> {
        let assigned: Vec<Finding> = self
            .findings_of(None)
            .filter(|row| row.assignee == Some(user))
            .cloned()
            .collect();
        for row in assigned {
            self.assign(row, None, by)?;
        }
        Ok(())
    }

    /// A look found it.
    pub(in crate::tenant_store) fn found(
        &mut self,
        scan: &Scan,
        draft: FindingDraft,
        by: Stamp,
    ) -> Result<()> {
        let key = (scan.account, draft.key.clone());
        let Some(before) = self.findings.get(&key) else {
            let row = Finding {
                id: FindingId::of(scan.account, &draft.key),
                draft,
                account: scan.account,
                status: finding::FIRST,
                assignee: None,
                first_scan: scan.id,
                last_scan: scan.id,
                first_seen_at: by.at,
                last_seen_at: by.at,
                version: 1,
            };
            self.findings_by_id.put(row.id, key);
            self.note_status(&row, None, by);
            self.put_finding(row);
            return Ok(());
        };
        let from = before.status;
        // Another attempt of the same scan is no other scan that found it.
        let same_look = before.last_scan == scan.id && from != FindingStatus::Resolved;
        let status = match same_look {
            true => from,
            false => finding::apply(from, FindingEvent::Found)?.to,
        };
        let changed = status != from || draft != before.draft;
        let row = Finding {
            id: before.id,
            draft,
            account: before.account,
            status,
            assignee: before.assignee,
            first_scan: before.first_scan,
            last_scan: scan.id,
            first_seen_at: before.first_seen_at,
            last_seen_at: by.at,
            version: before.version + u64::from(changed),
        };
        self.note_status(&row, Some(from), by);
        self.put_finding(row);
        Ok(())
    }

    /// A complete look no longer found it. What is not there, or resolved, is passed over.
    pub(in crate::tenant_store) fn gone(
        &mut self,
        scan: &Scan,
        key: String,
        by: Stamp,
    ) -> Result<()> {
        let Some(row) = self.findings.get(&(scan.account, key)) else {
            return Ok(());
        };
        if row.status == FindingStatus::Resolved {
            return Ok(());
        }
        let id = row.id;
        self.move_finding(Finding::clone(row), FindingEvent::Gone, by)?;
        self.close_exception_of(id, by)
    }

    fn put_finding(&mut self, row: Finding) {
        self.findings.put((row.account, row.draft.key.clone()), row);
    }

    /// Adds a change of status to the history of `row`, which it led to, where it is one.
    fn note_status(&mut self, row: &Finding, from: Option<FindingStatus>, by: Stamp) {
        let to = row.status;
        if from != Some(to) {
            self.note(row, ChangeOfFinding::Status { from, to }, by);
        }
    }

    fn note(&mut self, row: &Finding, what: ChangeOfFinding, by: Stamp) {
        let change = FindingChange {
            finding: row.id,
            version: row.version,
            occurred_at: by.at,
            actor: by.actor,
            what,
        };
        self.finding_history.put((row.id, row.version), change);
    }
}
