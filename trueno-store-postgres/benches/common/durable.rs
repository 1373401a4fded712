//! What is not durable is not to be measured.

use sqlx::{ConnectOptions as _, Row as _};

use crate::support;

pub(crate) async fn require() {
    let mut admin = support::server()
        .connect()
        .await
        .expect("the server answers");
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let row = sqlx::query("select current_setting($1) as value")
            .bind(setting)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        let value: String = row.get("value");
        assert_eq!(
            value, "on",
            "{setting}: run scripts/bench, which starts a durable server"
        );
    }
}
