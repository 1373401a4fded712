//! The operations and the pages, and how each is asked.

use serde_json::{Value, json};
use trueno_core::access::Action;

use crate::world::Ids;

/// One operation of the API, or one page.
pub(crate) struct Case {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What it is for; `None` where it is for anybody.
    pub(crate) action: Option<Action>,
    /// What `{id}` in the path is.
    pub(crate) id: fn(&Ids) -> String,
    /// Parameters of the query.
    pub(crate) query: fn(&Ids) -> String,
    pub(crate) body: fn(&Ids) -> Value,
    /// The version that `If-Match` names, for operations that want one.
    pub(crate) version: fn(&Ids) -> Option<u64>,
    /// For whoever operates the server: no member gets in.
    pub(crate) system: bool,
    /// Names a user, of whom nobody knows whether there is one: no id of a tenant's.
    pub(crate) names_anybody: bool,
}

impl Case {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// True for a list, which answers what is nowhere with an empty page.
    pub(crate) fn lists(&self) -> bool {
        self.method == "GET" && !self.path.contains("{id}")
    }

    /// True where the path, the query or the body names something of a tenant's.
    pub(crate) fn names_something(&self) -> bool {
        let (one, other) = (Ids::marked(1), Ids::marked(2));
        (self.id)(&one) != (self.id)(&other)
            || (self.query)(&one) != (self.query)(&other)
            || (self.body)(&one) != (self.body)(&other)
    }
}

const fn case(method: &'static str, path: &'static str, action: Action) -> Case {
    Case {
        method,
        path,
        action: Some(action),
        id: |_| String::new(),
        query: |_| String::new(),
        body: |_| Value::Null,
        version: |_| None,
        system: false,
        names_anybody: false,
    }
}

const fn open(path: &'static str) -> Case {
    Case {
        action: None,
        ..case("GET", path, Action::Read)
    }
}

/// Every operation and every page.
pub(crate) const CASES: &[Case] = &[
    case("GET", "/", Action::Read),
    Case {
        id: |ids| ids.scan.to_string(),
        ..case("GET", "/scans/{id}", Action::Read)
    },
    open("/style.css"),
    open("/healthz"),
    open("/openapi.json"),
    case("GET", "/v1/accounts", Action::Read),
    Case {
        body: |_| {
            json!({
                "name": "Another",
                "role_arn": "arn:aws:iam::210987654321:role/Another",
                "regions": ["eu-west-1"],
            })
        },
        ..case("POST", "/v1/accounts", Action::ManageAccounts)
    },
    Case {
        id: |ids| ids.account.to_string(),
        ..case("GET", "/v1/accounts/{id}", Action::Read)
    },
    Case {
        id: |ids| ids.account.to_string(),
        body: |_| json!({ "status": "paused" }),
        version: |ids| Some(ids.account_version),
        ..case("PATCH", "/v1/accounts/{id}", Action::ManageAccounts)
    },
    Case {
        id: |ids| ids.account.to_string(),
        version: |ids| Some(ids.account_version),
        ..case("DELETE", "/v1/accounts/{id}", Action::ManageAccounts)
    },
    Case {
        id: |ids| ids.account.to_string(),
        ..case(
            "POST",
            "/v1/accounts/{id}/verification",
            Action::ManageAccounts,
        )
    },
    Case {
        id: |ids| ids.account.to_string(),
        ..case("POST", "/v1/accounts/{id}/scans", Action::Scan)
    },
    Case {
        query: |ids| format!("account={}", ids.account),
        ..case("GET", "/v1/scans", Action::Read)
    },
    Case {
        id: |ids| ids.scan.to_string(),
        ..case("GET", "/v1/scans/{id}", Action::Read)
    },
    Case {
        query: |ids| format!("account={}&scan={}", ids.account, ids.scan),
        ..case("GET", "/v1/resources", Action::Read)
    },
    Case {
        query: |ids| format!("account={}&scan={}", ids.account, ids.scan),
        ..case("GET", "/v1/findings", Action::Read)
    },
    Case {
        query: |ids| format!("account={}", ids.account),
        ..case("GET", "/v1/findings/counts", Action::Read)
    },
    Case {
        id: |ids| ids.finding.to_string(),
        ..case("GET", "/v1/findings/{id}", Action::Read)
    },
    Case {
        id: |ids| ids.finding.to_string(),
        body: |_| json!({ "status": "acknowledged" }),
        version: |ids| Some(ids.finding_version),
        ..case("PATCH", "/v1/findings/{id}", Action::WorkFindings)
    },
    Case {
        id: |ids| ids.finding.to_string(),
        ..case("GET", "/v1/findings/{id}/history", Action::Read)
    },
    Case {
        id: |ids| ids.finding.to_string(),
        ..case("GET", "/v1/findings/{id}/comments", Action::Read)
    },
    Case {
        id: |ids| ids.finding.to_string(),
        body: |_| json!({ "text": "who needs this?" }),
        ..case("POST", "/v1/findings/{id}/comments", Action::WorkFindings)
    },
    Case {
        id: |ids| ids.finding.to_string(),
        body: |ids| json!({ "user": ids.member }),
        version: |ids| Some(ids.finding_version),
        ..case("PUT", "/v1/findings/{id}/assignment", Action::WorkFindings)
    },
    Case {
        id: |ids| ids.finding.to_string(),
        version: |ids| Some(ids.finding_version),
        ..case(
            "DELETE",
            "/v1/findings/{id}/assignment",
            Action::WorkFindings,
        )
    },
    Case {
        query: |ids| format!("account={}", ids.account),
        ..case("GET", "/v1/recommendations", Action::Read)
    },
    Case {
        query: |ids| format!("finding={}", ids.finding),
        ..case("GET", "/v1/exceptions", Action::Read)
    },
    Case {
        body: |ids| {
            json!({
                "finding": ids.other_finding,
                "reason": "kept for the audit",
                "expires_at": "2026-12-24T00:00:00Z",
            })
        },
        ..case("POST", "/v1/exceptions", Action::WorkFindings)
    },
    Case {
        id: |ids| ids.exception.to_string(),
        ..case("GET", "/v1/exceptions/{id}", Action::Read)
    },
    Case {
        id: |ids| ids.exception.to_string(),
        body: |_| json!({ "decision": "approve" }),
        version: |_| Some(1),
        ..case("PATCH", "/v1/exceptions/{id}", Action::DecideExceptions)
    },
    case("GET", "/v1/schedules", Action::Read),
    Case {
        body: |ids| {
            json!({
                "name": "Mornings",
                "account": ids.account,
                "cron": "0 6 * * mon-fri",
                "time_zone": "Europe/Berlin",
            })
        },
        ..case("POST", "/v1/schedules", Action::ManageSchedules)
    },
    Case {
        id: |ids| ids.schedule.to_string(),
        ..case("GET", "/v1/schedules/{id}", Action::Read)
    },
    Case {
        id: |ids| ids.schedule.to_string(),
        body: |_| json!({ "status": "paused" }),
        version: |_| Some(1),
        ..case("PATCH", "/v1/schedules/{id}", Action::ManageSchedules)
    },
    Case {
        id: |ids| ids.schedule.to_string(),
        version: |_| Some(1),
        ..case("DELETE", "/v1/schedules/{id}", Action::ManageSchedules)
    },
    Case {
        id: |ids| ids.schedule.to_string(),
        ..case("GET", "/v1/schedules/{id}/runs", Action::Read)
    },
    Case {
        id: |ids| ids.schedule.to_string(),
        ..case("POST", "/v1/schedules/{id}/runs", Action::Scan)
    },
    Case {
        action: None,
        system: true,
        ..case("POST", "/v1/system/tick", Action::Read)
    },
    case("GET", "/v1/members", Action::Read),
    Case {
        body: |ids| json!({ "user": ids.stranger, "role": "viewer" }),
        names_anybody: true,
        ..case("POST", "/v1/members", Action::ManageMembers)
    },
    Case {
        id: |ids| ids.member.to_string(),
        ..case("GET", "/v1/members/{id}", Action::Read)
    },
    Case {
        id: |ids| ids.member.to_string(),
        body: |_| json!({ "role": "viewer" }),
        version: |_| Some(1),
        ..case("PATCH", "/v1/members/{id}", Action::ManageMembers)
    },
    Case {
        id: |ids| ids.member.to_string(),
        version: |_| Some(1),
        ..case("DELETE", "/v1/members/{id}", Action::ManageMembers)
    },
    case("GET", "/v1/audit", Action::ReadAudit),
    case("GET", "/v1/export", Action::Export),
    Case {
        body: |ids| json!({ "organization": ids.organization }),
        names_anybody: true,
        ..case("DELETE", "/v1/organization", Action::EraseOrganization)
    },
];
