//! One scan from request to result, with a processor in this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;
use trueno_core::access::Action;
use trueno_core::check::Engine;
use trueno_core::clock::{SharedClock, SystemClock};
use trueno_core::error::ErrorKind;
use trueno_core::id::{IdSource, ScanId};
use trueno_core::model::{
    AccountStatus, CloudAccount, EventDraft, JobKind, NewCloudAccount, ScanProgress,
};
use trueno_core::port::{CloudScanner, PageRequest, ProbeOutcome, ScanFilter, ScanTarget};
use trueno_core::retry::Backoff;
use trueno_core::runtime::scan::{self, ScanConfig, ScanHandler, ScanReport, ScanRequest};
use trueno_core::runtime::{Processor, ProcessorConfig, accounts, sequence_until};
use trueno_core::state::cloud_account::AccountEvent;
use trueno_core::state::scan::is_terminal;
use trueno_server::output::note;

use crate::local::Local;
use crate::store::Stores;

/// How long a scan may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What is scanned, and with what.
pub(crate) struct Subject {
    pub(crate) scanner: Arc<dyn CloudScanner>,
    pub(crate) account: NewCloudAccount,
    /// What ages are counted to.
    pub(crate) as_of: SharedClock,
    pub(crate) trust: Trust,
    /// Names the part of the account that is looked at: only a scan of the same part is taken up.
    pub(crate) scope: String,
}

/// How a new connection becomes one that may be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A recording: there is nothing to probe.
    Recorded,
    /// Probed. Whoever runs the command owns the account, so a role that lets in whoever knows its
    /// name is warned of and scanned; a service refuses it (`runtime::accounts::verify`).
    Probed,
}

/// The scan was stopped by a signal.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

pub(crate) struct LocalScan {
    pub(crate) stores: Stores,
    pub(crate) local: Local,
    pub(crate) subject: Subject,
    pub(crate) engine: Arc<Engine>,
}

impl LocalScan {
    /// Requests a scan, runs it, and reports it.
    pub(crate) async fn run(
        &self,
        stop: CancellationToken,
        progress: impl Fn(ScanProgress),
    ) -> Result<ScanReport> {
        let account = tokio::select! {
            account = self.connection() => account?,
            () = stop.cancelled() => return Err(Interrupted.into()),
        };
        // A kind of its own: in a store that others use too, neither takes the other's jobs, which
        // may need other credentials, other regions, or a recording.
        let scope = &self.subject.scope;
        let kind: JobKind = format!("scan.local-{}-{scope}", account.id).parse()?;
        let scan = tokio::select! {
            scan = self.request(&account, &kind) => scan?,
            () = stop.cancelled() => return Err(Interrupted.into()),
        };
        self.process(scan, kind, stop, progress).await
    }

    /// Finds the connection, or makes it.
    async fn connection(&self) -> Result<CloudAccount> {
        let store = self.stores.tenants.as_ref();
        let scope = self.local.scope(store, Action::ManageAccounts).await?;
        let id = self.subject.account.id;
        let found = store.read(&scope).await?.account(id).await;
        let account = match found {
            Ok(account) => account,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                accounts::connect(store, &scope, self.subject.account.clone()).await?
            }
            Err(error) => return Err(error.into()),
        };
        match account.status {
            AccountStatus::Active => return Ok(account),
            AccountStatus::Paused | AccountStatus::Disconnected => {
                bail!("the account {} is {}", account.number, account.status)
            }
            _ => {}
        }
        let open_door = match self.subject.trust {
            Trust::Recorded => Vec::new(),
            Trust::Probed => self.probe(&account).await?,
        };
        let mut work = store.begin(&scope).await?;
        let account = work
            .apply_account(id, account.version, AccountEvent::Verified)
            .await?;
        let event = EventDraft::new("cloud_account.verified", "cloud_account", id)
            .with_detail("accepted_by", "operator")
            .with_detail("failed_probes", open_door);
        work.commit(event).await?;
        Ok(account)
    }

    /// Probes the connection. Answers the probes that failed without keeping us out.
    async fn probe(&self, account: &CloudAccount) -> Result<Vec<String>> {
        let verification = self
            .subject
            .scanner
            .verify(&ScanTarget::new(account.clone()))
            .await?;
        if verification.number.as_ref() != Some(&account.number) {
            let advice: Vec<String> = verification
                .probes
                .into_iter()
                .filter(|probe| probe.outcome == ProbeOutcome::Failed)
                .map(|probe| format!("{} ({})", probe.name, probe.advice.unwrap_or_default()))
                .collect();
            bail!(
                "the account {} lets nobody in: {}",
                account.number,
                advice.join("; ")
            );
        }
        let failed = verification
            .probes
            .into_iter()
            .filter(|p| p.outcome == ProbeOutcome::Failed);
        Ok(failed
            .map(|probe| {
                let advice = probe.advice.unwrap_or_default();
                note(&format!("warning: probe failed: {}. {advice}", probe.name));
                probe.name
            })
            .collect())
    }

    /// Requests a scan; one that was interrupted before is taken up instead.
    async fn request(&self, account: &CloudAccount, kind: &JobKind) -> Result<ScanId> {
        let store = self.stores.tenants.as_ref();
        let scope = self.local.scope(store, Action::Scan).await?;
        let wanted = ScanRequest::new(account.id).with_job_kind(kind.clone());
        let requested =
            scan::request(store, &scope, &wanted, &IdSource::random(), &SystemClock).await;
        match requested {
            Ok(requested) => Ok(requested.scan),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let scope = self.local.scope(store, Action::Read).await?;
                let mut view = store.read(&scope).await?;
                let filter = ScanFilter::default().with_account(account.id);
                let latest = view.scans(&filter, &PageRequest::first(20)?).await?;
                let open = latest
                    .items
                    .into_iter()
                    .find(|scan| !is_terminal(scan.status));
                open.map_or_else(|| Err(error.into()), |scan| Ok(scan.id))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn process(
        &self,
        scan: ScanId,
        kind: JobKind,
        stop: CancellationToken,
        progress: impl Fn(ScanProgress),
    ) -> Result<ScanReport> {
        let ended = stop.child_token();
        let watching = async {
            let watched = self.watch(scan, &progress).await;
            ended.cancel();
            watched
        };
        let (processed, watched) = tokio::join!(self.run_jobs(kind, ended.clone()), async {
            tokio::select! {
                watched = watching => watched,
                () = stop.cancelled() => Err(Interrupted.into()),
            }
        });
        processed?;
        watched?;
        let store = self.stores.tenants.as_ref();
        let scope = self.local.scope(store, Action::Read).await?;
        let mut view = store.read(&scope).await?;
        Ok(scan::report(view.as_mut(), scan).await?)
    }

    /// Runs the scans that others request of the store, until `stop` fires: for a store that has
    /// this account alone.
    pub(crate) async fn run_requested(&self, stop: CancellationToken) -> Result<()> {
        self.run_jobs(scan::JOB_KIND, stop).await
    }

    /// Runs jobs of one kind, and hands audit events to the ledger, until `stop` fires.
    async fn run_jobs(&self, kind: JobKind, stop: CancellationToken) -> Result<()> {
        let handler = ScanHandler::new(
            vec![self.subject.scanner.clone()],
            self.engine.clone(),
            self.subject.as_of.clone(),
            ScanConfig::default(),
        )
        .with_kind(kind);
        let config = ProcessorConfig::new("trueno command line")
            .with_concurrency(1)
            .with_poll_interval(Duration::from_millis(250))
            .with_stop_grace(STOP_GRACE)
            .with_backoff(Backoff::new(
                Duration::from_secs(1),
                Duration::from_secs(10),
            ));
        let processor = Processor::new(
            self.stores.queue.clone(),
            self.stores.tenants.clone(),
            vec![Arc::new(handler)],
            config,
            Arc::new(SystemClock),
            IdSource::random(),
        )?;
        let sequencing = self.stores.ledger.clone().map(|(outbox, sink)| {
            let every = Duration::from_millis(250);
            tokio::spawn(sequence_until(outbox, sink, every, stop.clone()))
        });
        processor.run(stop).await;
        if let Some(sequencing) = sequencing {
            sequencing.await?;
        }
        Ok(())
    }

    /// Waits for the end of the scan.
    async fn watch(&self, scan: ScanId, progress: impl Fn(ScanProgress)) -> Result<()> {
        let store = self.stores.tenants.as_ref();
        let scope = self.local.scope(store, Action::Read).await?;
        loop {
            let current = store.read(&scope).await?.scan(scan).await?;
            progress(current.progress);
            if is_terminal(current.status) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
