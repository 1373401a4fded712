//! How a list of cases becomes tests, and what every case shares.

mod assert;
mod dropped;
mod isolation;
mod macros;
mod run;

pub use assert::{near, refused};
pub use dropped::dropped_after;
pub use isolation::Isolation;
pub use run::{CASE_DEADLINE, report, run};
