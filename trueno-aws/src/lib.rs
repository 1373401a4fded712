//! AWS adapter of Trueno: read-only sessions, collectors, checks and prices.
//!
//! [`AwsScanner`] implements [`CloudScanner`](trueno_core::port::CloudScanner): it enters an account
//! (with the process's own credentials, or by assuming a role with an external id derived for the
//! connection), plans one task for each kind of resource in each region, and streams their pages.
//!
//! | promise | how it is kept here |
//! |---|---|
//! | P4 read-only | every client carries a guard twice: in the SDK's pipeline and again in front of the socket, which reads the operation from the bytes about to be sent; only [`AllowList`] passes |
//! | P5 no stored credentials | credentials live in the memory of one session, are renewed before they end, and show in no log, error or `Debug` output |
//! | P8 honest coverage | denied, throttled, unreachable and unreadable are told apart; an answer that is not whole is an error, never a shorter list |
//!
//! A collector declares its operations once: the plan, the session policy, the allow-list, coverage
//! and [`permission_policy`] are made of that.
//!
//! The SDK's own logs are another matter: at `trace` its targets hold what Trueno's never do. Cap
//! `aws_config` at `warn`, and `aws_*`, `hyper`, `hyper_util` and `rustls` at `info`.
//!
//! # Example
//! A scan of a recorded account; without the transport it would be a live one.
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures::TryStreamExt;
//! use trueno_aws::{AwsScanner, Recording, Transport};
//! use trueno_core::error::Result;
//! use trueno_core::port::{CloudScanner, ScanTarget, TaskPlan};
//!
//! /// Counts what an account has.
//! async fn count(recording: &str, target: &ScanTarget) -> Result<usize> {
//!     let recording = Arc::new(Recording::parse(recording)?);
//!     let scanner = AwsScanner::builder().transport(Transport::Replay(recording)).build()?;
//!     let plan = scanner.plan(target).await?;
//!     let session = scanner.open(target, &plan).await?;
//!     let mut count = 0;
//!     for task in &plan.tasks {
//!         let TaskPlan::Read(task) = task else { continue };
//!         let mut pages = session.scan(task, None).await?;
//!         while let Some(page) = pages.try_next().await.map_err(|failed| failed.error)? {
//!             count += page.resources.len();
//!         }
//!     }
//!     Ok(count)
//! }
//! # let _ = count;
//! ```

mod ambient;
pub mod check;
mod client;
mod collect;
mod error;
pub mod facts;
mod guard;
mod limits;
mod operation;
mod partition;
pub mod price;
mod replay;
mod scanner;
mod session;
mod well_formed;

pub use guard::AllowList;
pub use limits::Limits;
pub use replay::{Recorder, Recording};
pub use scanner::{AwsScanner, AwsScannerBuilder, CallerIdentity, Transport};
pub use session::{permission_policy, trust_policy};
