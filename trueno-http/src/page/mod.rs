//! The pages: rendered here, without scripts, from the same report that the JSON routes give.

mod findings;
mod links;
mod login;
mod model;
mod words;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Html;
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::ScanId;
use trueno_core::model::Scan;
use trueno_core::port::{PageRequest, ReadView, ScanFilter};
use trueno_core::runtime::scan::report;

use crate::HttpState;
use crate::extract::{IdInPath, Member, ScanInPath, acts};
use crate::problem::Problem;
use links::Links;
pub(crate) use login::login;
use model::{EmptyPage, ScanPage, Subject};

/// Scans that a page links to.
const RECENT_SCANS: usize = 10;

/// The page of the organization's latest scan.
pub(crate) async fn latest(
    State(state): State<HttpState>,
    member: Member<acts::Read>,
    OriginalUri(uri): OriginalUri,
) -> Result<Html<String>, Problem> {
    let links = Links::from_root(uri.path());
    let mut view = member.view().await?;
    let recent = recent(view.as_mut()).await?;
    let Some(newest) = recent.first().map(|scan| scan.id) else {
        return Ok(render(&EmptyPage { links })?);
    };
    let page = page(&state, view.as_mut(), newest, recent, links).await?;
    Ok(render(&page)?)
}

/// The page of one scan.
pub(crate) async fn scan(
    State(state): State<HttpState>,
    member: Member<acts::Read>,
    IdInPath(id): ScanInPath,
    OriginalUri(uri): OriginalUri,
) -> Result<Html<String>, Problem> {
    let links = Links::from_scan(uri.path());
    let mut view = member.view().await?;
    let recent = recent(view.as_mut()).await?;
    let page = page(&state, view.as_mut(), id, recent, links).await?;
    Ok(render(&page)?)
}

async fn recent(view: &mut dyn ReadView) -> Result<Vec<Scan>> {
    let newest = PageRequest::first(RECENT_SCANS)?;
    Ok(view.scans(&ScanFilter::default(), &newest).await?.items)
}

/// Looks up the names of the scans' accounts, each once.
async fn with_names(view: &mut dyn ReadView, scans: Vec<Scan>) -> Result<Vec<(Scan, String)>> {
    let mut names = HashMap::new();
    let mut named = Vec::with_capacity(scans.len());
    for scan in scans {
        let name = match names.entry(scan.account) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(view.account(scan.account).await?.name),
        };
        named.push((scan, name.clone()));
    }
    Ok(named)
}

async fn page(
    state: &HttpState,
    view: &mut dyn ReadView,
    id: ScanId,
    recent: Vec<Scan>,
    links: Links,
) -> Result<ScanPage> {
    let scan = view.scan(id).await?;
    let account = view.account(scan.account).await?;
    let recent = with_names(view, recent).await?;
    let report = report(view, id).await?;
    let subject = Subject {
        account,
        scan,
        recent,
    };
    Ok(ScanPage::new(subject, report, links, state.clock.now()))
}

fn render(page: &impl Template) -> Result<Html<String>> {
    page.render().map(Html).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "the page could not be rendered").with_source(source)
    })
}
