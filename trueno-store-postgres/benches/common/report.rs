//! The lines that a bench prints.

use std::io::Write as _;

use serde::Serialize;

/// Says something on stderr.
#[macro_export]
macro_rules! note {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        // Nobody is there to be told where stderr is gone.
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}

/// What a ratio has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) metric: &'static str,
    /// What it is compared with, and the unit of both.
    pub(crate) peer: &'static str,
    pub(crate) ours: f64,
    pub(crate) peer_value: f64,
    /// None where it is reported only.
    pub(crate) target: Option<Target>,
}

impl Line {
    /// Prints it. A ratio to nothing is null.
    pub(crate) fn print(&self, bench: &'static str) {
        let ratio = (self.peer_value != 0.0).then(|| self.ours / self.peer_value);
        let json = Json {
            bench,
            metric: self.metric,
            peer: self.peer,
            ours: rounded(self.ours),
            peer_value: rounded(self.peer_value),
            ratio: ratio.map(rounded),
        };
        let json = serde_json::to_string(&json).expect("numbers and text");
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{json}").expect("stdout takes the line");
        let ratio = ratio.unwrap_or(self.ours);
        let (met, wanted) = match self.target {
            Some(Target::AtMost(most)) => (ratio <= most, format!("at most {most}")),
            Some(Target::AtLeast(least)) => (ratio >= least, format!("at least {least}")),
            None => (true, "reported only".to_owned()),
        };
        let verdict = if met { "" } else { ": MISSED" };
        note!("{}: {ratio:.3}, wanted: {wanted}{verdict}", self.metric);
    }
}

#[derive(Serialize)]
struct Json {
    bench: &'static str,
    metric: &'static str,
    peer: &'static str,
    ours: f64,
    peer_value: f64,
    ratio: Option<f64>,
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
