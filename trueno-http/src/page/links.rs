//! Relative links: right wherever the router is mounted, and behind proxies that strip a prefix.

/// Links from one page, each relative to the page's own address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Links {
    /// The page of the latest scan.
    pub(super) home: String,
    root: String,
}

impl Links {
    /// From the page of the latest scan, which is asked for at `path`.
    pub(super) fn from_root(path: &str) -> Self {
        // Mounted at `/trueno`, the page has that very address: a browser resolves links against
        // what comes before its last slash.
        let own = last_segment(path);
        Self {
            home: format!("./{own}"),
            root: if own.is_empty() {
                "./".to_owned()
            } else {
                format!("./{own}/")
            },
        }
    }

    /// From the page of one scan, which is asked for at `path`, `…/scans/{id}`.
    pub(super) fn from_scan(path: &str) -> Self {
        let mount = path.rsplitn(3, '/').nth(2).unwrap_or_default();
        Self {
            home: match last_segment(mount) {
                "" => "../".to_owned(),
                own => format!("../../{own}"),
            },
            root: "../".to_owned(),
        }
    }

    /// The style sheet.
    pub(super) fn style(&self) -> String {
        format!("{}style.css", self.root)
    }

    /// The page of a scan.
    pub(super) fn scan(&self, id: &str) -> String {
        format!("{}scans/{id}", self.root)
    }

    /// Scans as JSON.
    pub(super) fn scans_json(&self) -> String {
        format!("{}v1/scans", self.root)
    }

    /// A scan as JSON.
    pub(super) fn scan_json(&self, id: &str) -> String {
        format!("{}v1/scans/{id}", self.root)
    }
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_hold_wherever_the_router_is_mounted() {
        for (path, home, scan) in [
            ("/", "./", "./scans/7"),
            ("/trueno", "./trueno", "./trueno/scans/7"),
            ("/trueno/", "./", "./scans/7"),
            ("/a/b", "./b", "./b/scans/7"),
        ] {
            let links = Links::from_root(path);
            assert_eq!(
                (links.home.as_str(), links.scan("7").as_str()),
                (home, scan)
            );
        }
        for (path, home) in [
            ("/scans/7", "../"),
            ("/trueno/scans/7", "../../trueno"),
            ("/a/b/scans/7", "../../b"),
        ] {
            let links = Links::from_scan(path);
            assert_eq!(links.home, home);
            assert_eq!(links.scan("8"), "../scans/8");
            assert_eq!(links.style(), "../style.css");
        }
    }
}
