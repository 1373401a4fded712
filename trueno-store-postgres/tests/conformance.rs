//! The suites of the ports, on a real server: one database for each case.

mod support;

mod tenant_store {
    trueno_testkit::tenant_store_conformance!(crate::support::harness);
}

mod job_queue {
    trueno_testkit::job_queue_conformance!(crate::support::harness);
}
