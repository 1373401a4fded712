//! Who holds vacuum back, for operators.

use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::port::{Horizon, HorizonHolder};

use crate::encode::RowExt as _;
use crate::error;
use crate::store::PostgresStore;

pub(super) async fn horizon(store: &PostgresStore) -> Result<Option<Horizon>> {
    let mut tx = store.begin_processor().await?;
    let query = tx.query("select * from vacuum_horizon()");
    let row = query
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    tx.rollback().await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let holder = match row.text("holder")?.as_str() {
        "session" => HorizonHolder::Session,
        "prepared_transaction" => HorizonHolder::PreparedTransaction,
        "replication_slot" => HorizonHolder::ReplicationSlot,
        _ => {
            return Err(error::corrupt(
                "holder",
                Error::new(ErrorKind::Corrupt, "is unknown"),
            ));
        }
    };
    Ok(Some(Horizon {
        holder,
        pid: row.count_opt("pid")?,
        name: row.text_opt("name")?,
        login: row.text_opt("login")?,
        state: row.text_opt("state")?,
        looked_at: row.time("looked_at")?,
        since: row.time_opt("since")?,
        state_since: row.time_opt("state_since")?,
        position: row.count("xid")?,
        transactions: row.count("transactions")?,
    }))
}
