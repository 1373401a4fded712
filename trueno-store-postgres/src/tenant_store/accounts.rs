//! Cloud accounts.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{QueryBuilder, Row as _};
use trueno_core::error::{Error, ErrorKind, Result};
use trueno_core::id::{CloudAccountId, OrganizationId};
use trueno_core::model::{
    AccessMethod, AccountStatus, CloudAccount, ExternalIdHash, NewCloudAccount, Region, Version,
};
use trueno_core::port::tenant_store::{AccountReads, AccountWrites};
use trueno_core::port::{Page, PageRequest};
use trueno_core::state::cloud_account::{self, AccountEvent};
use uuid::Uuid;

use super::unit::{PgUnitOfWork, step};
use super::{organizations, paging, versions, view};
use crate::encode::{RowExt as _, bigint};
use crate::error::{self, sqlstate};
use crate::transaction::Tx;

const LIST: &str = "accounts";

/// What errors call one.
const WHAT: &str = "cloud account";

view::reads! {
    AccountReads {
        fn account(id: CloudAccountId) -> CloudAccount;
        fn accounts(page: &PageRequest) -> Page<CloudAccount>;
    } for view and unit
}

#[async_trait]
impl AccountWrites for PgUnitOfWork {
    async fn insert_account(&mut self, new: NewCloudAccount) -> Result<CloudAccount> {
        step!(self, insert_account for ManageAccounts, tx => insert(&mut tx, self.organization(), new))
    }

    async fn apply_account(
        &mut self,
        id: CloudAccountId,
        version: Version,
        event: AccountEvent,
    ) -> Result<CloudAccount> {
        step!(self, apply_account for ManageAccounts, tx =>
            apply(&mut tx, self.organization(), id, version, event))
    }
}

async fn account(
    tx: &mut Tx,
    organization: OrganizationId,
    id: CloudAccountId,
) -> Result<CloudAccount> {
    let query = tx.query("select * from cloud_account where organization_id = $1 and id = $2");
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row.ok_or_else(not_found)?)
}

async fn accounts(
    tx: &mut Tx,
    organization: OrganizationId,
    page: &PageRequest,
) -> Result<Page<CloudAccount>> {
    let mut query = QueryBuilder::new("select * from cloud_account where organization_id = ");
    query.push_bind(organization.as_uuid());
    if let Some(id) = paging::after::<Uuid>(LIST, page)? {
        query.push(" and id > ").push_bind(id);
    }
    query.push(" order by id");
    paging::fetch(tx, LIST, query, page, decode, |row| row.id::<Uuid>("id")).await
}

async fn insert(
    tx: &mut Tx,
    organization: OrganizationId,
    new: NewCloudAccount,
) -> Result<CloudAccount> {
    new.check()?;
    let (access, role) = match &new.access {
        AccessMethod::Ambient => ("ambient", None),
        AccessMethod::AssumeRole {
            role_arn,
            external_id_hash,
            key_id,
            generation,
        } => (
            "assume_role",
            Some((
                role_arn.as_str(),
                external_id_hash.as_bytes(),
                key_id,
                *generation,
            )),
        ),
        _ => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this store does not know such an access method",
            ));
        }
    };
    let regions: Vec<&str> = new.regions.iter().map(Region::as_str).collect();
    let query = tx.query(
        "insert into cloud_account (
            organization_id, id, provider, number, name, access, role_arn, external_id_hash,
            external_id_key, external_id_generation, regions, status
         ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending')
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(new.id.as_uuid())
        .bind(new.provider.as_str())
        .bind(new.number.as_str())
        .bind(&new.name)
        .bind(access)
        .bind(role.map(|(arn, ..)| arn))
        .bind(role.map(|(_, hash, ..)| &hash[..]))
        .bind(role.map(|(_, _, key, _)| key))
        .bind(role.map(|(.., generation)| i64::from(generation)))
        .bind(regions)
        .fetch_one(tx.connection())
        .await
        .map_err(|source| match error::code(&source).as_deref() {
            Some(sqlstate::FOREIGN_KEY_VIOLATION) => organizations::not_found(),
            _ => error::statement(source),
        })?;
    decode(&row)
}

async fn apply(
    tx: &mut Tx,
    organization: OrganizationId,
    id: CloudAccountId,
    version: Version,
    event: AccountEvent,
) -> Result<CloudAccount> {
    let query = tx.query(
        "select status, version from cloud_account
         where organization_id = $1 and id = $2 for no key update",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .fetch_optional(tx.connection())
        .await
        .map_err(error::statement)?;
    let row = versions::unchanged(row, WHAT, version)?;
    let to = cloud_account::apply(row.parsed("status")?, event)?.to;
    let query = tx.query(
        "update cloud_account set
            status = $4, version = version + 1,
            access = case when $5 then null else access end,
            role_arn = case when $5 then null else role_arn end,
            external_id_hash = case when $5 then null else external_id_hash end,
            external_id_key = case when $5 then null else external_id_key end,
            external_id_generation = case when $5 then null else external_id_generation end
         where organization_id = $1 and id = $2 and version = $3
         returning *",
    );
    let row = query
        .bind(organization.as_uuid())
        .bind(id.as_uuid())
        .bind(bigint("version", version)?)
        .bind(to.as_str())
        .bind(to == AccountStatus::Disconnected)
        .fetch_one(tx.connection())
        .await
        .map_err(error::statement)?;
    decode(&row)
}

fn not_found() -> Error {
    Error::not_found(WHAT)
}

fn decode(row: &PgRow) -> Result<CloudAccount> {
    let access = match row.text_opt("access")?.as_deref() {
        None => None,
        Some("ambient") => Some(AccessMethod::Ambient),
        Some(_) => Some(AccessMethod::AssumeRole {
            role_arn: row.parsed("role_arn")?,
            external_id_hash: hash(row)?,
            key_id: row.text("external_id_key")?,
            generation: row.count("external_id_generation")?,
        }),
    };
    let regions: Vec<String> = row.try_get("regions").map_err(error::statement)?;
    let regions = regions
        .iter()
        .map(|region| {
            region
                .parse()
                .map_err(|source: Error| error::corrupt("regions", source))
        })
        .collect::<Result<_>>()?;
    Ok(CloudAccount {
        id: row.id("id")?,
        organization: row.id("organization_id")?,
        provider: row.parsed("provider")?,
        number: row.parsed("number")?,
        name: row.text("name")?,
        access,
        regions,
        status: row.parsed("status")?,
        created_at: row.time("created_at")?,
        version: row.count("version")?,
    })
}

fn hash(row: &PgRow) -> Result<ExternalIdHash> {
    let bytes: Vec<u8> = row.try_get("external_id_hash").map_err(error::statement)?;
    let bytes = <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|source| error::corrupt("external_id_hash", source))?;
    Ok(ExternalIdHash::from_bytes(bytes))
}
