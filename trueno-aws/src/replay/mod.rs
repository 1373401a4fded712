//! Recorded answers: a scan that runs without AWS, through the SDK's own HTTP layer and behind the
//! same guard.

mod player;
mod recorder;
mod recording;

pub(crate) use player::{NotRecorded, player};
pub use recorder::Recorder;
pub(crate) use recorder::recording_client;
pub use recording::Recording;
