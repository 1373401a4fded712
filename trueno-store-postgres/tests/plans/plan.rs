//! A plan as the server tells it, without what differs from run to run.

/// A statement and how it was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// On one line.
    pub(crate) statement: String,
    /// As of `EXPLAIN (COSTS OFF)`, with `?` for values and parameters.
    pub(crate) lines: Vec<String>,
}

impl Plan {
    /// Reads a message of auto_explain; nothing of another one.
    pub(crate) fn parse(message: &str) -> Option<Self> {
        let (_, rest) = message.split_once("plan:\nQuery Text: ")?;
        let mut statement = String::new();
        let mut lines: Vec<String> = Vec::new();
        for line in rest.lines() {
            match line.split_once("  (cost=") {
                Some((node, _)) => lines.push(node.to_owned()),
                None if !lines.is_empty() => lines.push(anonymous(line)),
                None => {
                    statement.push(' ');
                    statement.push_str(line.trim());
                }
            }
        }
        // Newer servers tell the parameters as well.
        let statement = statement
            .split(" Query Parameters: ")
            .next()
            .unwrap_or_default();
        let words: Vec<&str> = statement.split_whitespace().collect();
        let statement = words.join(" ");
        Some(Self { statement, lines })
    }
}

/// Values and parameters by `?`, but for `$0`: that is the organization that was entered, which the
/// policy asks for first.
fn anonymous(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['\'', '$']) {
        out.push_str(&rest[..at]);
        let quoted = rest[at..].starts_with('\'');
        rest = &rest[at + 1..];
        let end = if quoted {
            rest.find('\'').map_or(rest.len(), |end| end + 1)
        } else {
            rest.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len())
        };
        if !quoted && &rest[..end] == "0" {
            out.push_str("$0");
        } else {
            out.push('?');
        }
        rest = &rest[end..];
        // The type that only a value shows.
        if quoted && rest.starts_with("::") {
            let cast = rest[2..].find(|c: char| !(c.is_alphanumeric() || "_[]".contains(c)));
            let end = cast.map_or(rest.len(), |end| end + 2);
            rest = rest[end..].trim_start_matches(" with time zone");
        }
    }
    out.push_str(rest);
    out
}
