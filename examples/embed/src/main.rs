//! A service of its own that mounts Trueno under `/trueno`: the memory store, a processor in this
//! process, and a scan of the AWS account whose credentials the environment has. There is no
//! sign-in, so it is for one person's machine and listens on loopback only.

use std::{future::IntoFuture, sync::Arc};

use anyhow::{Context, Result};
use axum::{Router, response::Html, routing::get};
use tokio::{net::TcpListener, signal};
use tokio_util::sync::CancellationToken;
use trueno_aws::{AwsScanner, check, price::PriceTable};
use trueno_core::access::{Action, Identity, authorize};
use trueno_core::check::Engine;
use trueno_core::clock::{SharedClock, SystemClock};
use trueno_core::id::{IdSource, UserId};
use trueno_core::model::{AccessMethod, EventDraft, NewCloudAccount, NewOrganization, Provider};
use trueno_core::port::TenantStore;
use trueno_core::runtime::scan::{ScanConfig, ScanHandler, ScanRequest, request};
use trueno_core::runtime::{Processor, ProcessorConfig, accounts};
use trueno_http::{HttpState, LocalToken, loopback_only, router};
use trueno_store_memory::MemoryStore;

const ADDRESS: &str = "127.0.0.1:8090";
const HOME: &str = "<!doctype html><title>Example</title><a href=\"trueno\">Cloud spend</a>";

#[tokio::main]
#[expect(clippy::print_stdout, reason = "says where to look")]
async fn main() -> Result<()> {
    let clock: SharedClock = Arc::new(SystemClock);
    let ids = IdSource::random();
    let store = Arc::new(MemoryStore::new(clock.clone(), ids.clone()));
    // One organization, whose owner is whoever has the token.
    let (organization, owner): (_, UserId) = (ids.next(clock.now()), ids.next(clock.now()));
    let new = NewOrganization::new(organization, "Example", owner)?;
    let event = EventDraft::new("organization.created", "organization", organization);
    store.create_organization(new, event).await?;
    let identity = Identity::authenticated(owner);
    let local = LocalToken::generate(identity)?;
    let page = format!("http://{ADDRESS}/trueno?token={}", local.expose());

    // The processor.
    let aws = Arc::new(AwsScanner::builder().build()?);
    let engine = Arc::new(Engine::new(check::all(), Arc::new(PriceTable::builtin()?))?);
    let (scanners, config) = (vec![aws.clone() as _], ScanConfig::default());
    let handler = Arc::new(ScanHandler::new(scanners, engine, clock.clone(), config));
    let (queue, tenants, config) = (store.clone(), store.clone(), ProcessorConfig::new("embed"));
    let (time, random) = (clock.clone(), ids.clone());
    let processor = Processor::new(queue, tenants, vec![handler], config, time, random)?;

    // This service's own routes, and Trueno's.
    let trueno = router(HttpState::new(
        store.clone(),
        Arc::new(local),
        clock.clone(),
    ));
    let home = Router::new().route("/", get(Html(HOME)));
    let app = home.nest("/trueno", trueno).layer(loopback_only());
    let listener = TcpListener::bind(ADDRESS).await.context(ADDRESS)?;
    println!("{page}");

    let scan_own_account = async {
        let scope = |action| authorize(&*store, &identity, organization, action);
        let (id, number) = (ids.next(clock.now()), aws.caller_identity().await?.number);
        let access = AccessMethod::Ambient;
        let new = NewCloudAccount::new(id, Provider::Aws, number, "This account", access)?;
        let manage = scope(Action::ManageAccounts).await?;
        accounts::connect(&*store, &manage, new).await?;
        accounts::verify(&*store, &*aws, &manage, id).await?;
        let (scan, wanted) = (scope(Action::Scan).await?, ScanRequest::new(id));
        request(&*store, &scan, &wanted, &ids, &*clock).await
    };
    let stop = CancellationToken::new();
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let until_ctrl_c = async {
        if let Err(error) = scan_own_account.await {
            println!("nothing is scanned: {error}");
        }
        let _ = signal::ctrl_c().await;
        stop.cancel();
    };
    let work = processor.run(stop.clone());
    Ok(tokio::join!(server.into_future(), work, until_ctrl_c).0?)
}
