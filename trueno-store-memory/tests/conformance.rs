//! The store and its queue against the suites that every adapter passes. The vault's and the
//! ledger's are next to their code, since they change stored bytes behind its back.

mod common;

mod job_queue {
    use crate::common::Memory;

    trueno_testkit::job_queue_conformance!(Memory::new);
}

mod tenant_store {
    use crate::common::Memory;

    trueno_testkit::tenant_store_conformance!(Memory::new);
}
