//! Everything that an organization has, as JSON lines.

use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::access::{Action, OrgScope};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{FindingId, ScanId};
use crate::model::{
    AuditEvent, CloudAccountSummary, Comment, Coverage, Exception, Finding, FindingChange, Member,
    Organization, ResourceRecord, Scan, Schedule,
};
use crate::port::{
    ExceptionFilter, FindingFilter, PageRequest, ReadView, ResourceFilter, ScanFilter, TenantStore,
};

/// Runs `$each` for every item of every page of a list.
macro_rules! every {
    (|$page:ident| $list:expr, |$item:ident| $each:block) => {
        let mut wanted = Some(PageRequest::largest());
        while let Some(request) = wanted.take() {
            let $page = &request;
            let page = $list.await?;
            wanted = page.next.map(|next| request.after(Some(next)));
            for $item in page.items $each
        }
    };
}

/// One line of an export: a JSON object whose `type` says what it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExportLine {
    /// The organization: the first line.
    Organization(Organization),
    /// A member.
    Member(Member),
    /// A connection.
    CloudAccount(Box<CloudAccountSummary>),
    /// A schedule.
    Schedule(Schedule),
    /// A scan.
    Scan(Box<Scan>),
    /// The coverage of a scan.
    Coverage {
        /// The scan.
        scan: ScanId,
        /// What one of its tasks read.
        #[serde(flatten)]
        coverage: Coverage,
    },
    /// A resource that is there, or gone.
    Resource(Box<ResourceRecord>),
    /// A finding.
    Finding(Box<Finding>),
    /// What changed of a finding.
    FindingChange(FindingChange),
    /// A comment.
    Comment(Comment),
    /// An exception.
    Exception(Exception),
    /// An audit event.
    AuditEvent(Box<AuditEvent>),
    /// The last line: an export without it was cut off.
    End {
        /// How many lines came before it.
        lines: u64,
    },
}

/// Writes everything that the organization has to `to`, as of one moment: one JSON object per line,
/// UTF-8. Answers how many lines, the last one included. Nothing of it holds a whole list in memory.
/// For [`Action::Export`].
///
/// An export only reads: nothing is added to the organization's history.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied) unless the scope is for [`Action::Export`]; those of the store; and
/// [`Unavailable`](ErrorKind::Unavailable) where `to` takes no more.
pub async fn export(
    store: &dyn TenantStore,
    scope: &OrgScope,
    to: &mut (dyn AsyncWrite + Send + Unpin),
) -> Result<u64> {
    scope.require(Action::Export)?;
    let mut view = store.read(scope).await?;
    let mut out = Out { to, lines: 0 };
    out.line(&ExportLine::Organization(view.organization().await?))
        .await?;
    organization(view.as_mut(), &mut out).await?;
    inventory(view.as_mut(), &mut out).await?;
    findings(view.as_mut(), &mut out).await?;
    // Whoever may export may read the audit events: the matrix sees to it.
    every!(|page| view.audit_events(page), |event| {
        out.line(&ExportLine::AuditEvent(Box::new(event))).await?;
    });
    let lines = out.lines;
    out.line(&ExportLine::End { lines }).await?;
    out.to.flush().await.map_err(cut_off)?;
    Ok(out.lines)
}

/// Lines on their way out.
struct Out<'a> {
    to: &'a mut (dyn AsyncWrite + Send + Unpin),
    lines: u64,
}

impl Out<'_> {
    async fn line(&mut self, line: &ExportLine) -> Result<()> {
        let mut json = serde_json::to_vec(line).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "a row cannot be written as JSON").with_source(source)
        })?;
        json.push(b'\n');
        self.to.write_all(&json).await.map_err(cut_off)?;
        self.lines += 1;
        Ok(())
    }
}

fn cut_off(source: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the export could not be written to its end",
    )
    .with_source(source)
}

async fn organization(view: &mut dyn ReadView, out: &mut Out<'_>) -> Result<()> {
    every!(|page| view.members(page), |member| {
        out.line(&ExportLine::Member(member)).await?;
    });
    every!(|page| view.accounts(page), |account| {
        out.line(&ExportLine::CloudAccount(Box::new(account.into())))
            .await?;
    });
    every!(|page| view.schedules(page), |schedule| {
        out.line(&ExportLine::Schedule(schedule)).await?;
    });
    Ok(())
}

async fn inventory(view: &mut dyn ReadView, out: &mut Out<'_>) -> Result<()> {
    let filter = ScanFilter::default();
    every!(|page| view.scans(&filter, page), |found| {
        let scan = found.id;
        out.line(&ExportLine::Scan(Box::new(found))).await?;
        for coverage in view.coverage(scan).await? {
            out.line(&ExportLine::Coverage { scan, coverage }).await?;
        }
    });
    for filter in [ResourceFilter::default(), ResourceFilter::default().gone()] {
        every!(|page| view.resources(&filter, page), |resource| {
            out.line(&ExportLine::Resource(Box::new(resource))).await?;
        });
    }
    Ok(())
}

async fn findings(view: &mut dyn ReadView, out: &mut Out<'_>) -> Result<()> {
    let filter = FindingFilter::default();
    every!(|page| view.findings(&filter, page), |finding| {
        let id: FindingId = finding.id;
        out.line(&ExportLine::Finding(Box::new(finding))).await?;
        every!(|page| view.finding_history(id, page), |change| {
            out.line(&ExportLine::FindingChange(change)).await?;
        });
        every!(|page| view.comments(id, page), |comment| {
            out.line(&ExportLine::Comment(comment)).await?;
        });
    });
    let filter = ExceptionFilter::default();
    every!(|page| view.exceptions(&filter, page), |exception| {
        out.line(&ExportLine::Exception(exception)).await?;
    });
    Ok(())
}
