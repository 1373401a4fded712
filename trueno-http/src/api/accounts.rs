//! Cloud accounts.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trueno_core::error::Result;
use trueno_core::id::CloudAccountId;
use trueno_core::model::{
    AccessMethod, AccountNumber, AccountStatus, CloudAccount, CloudAccountSummary, NewCloudAccount,
    Provider, Region, RoleArn, Version,
};
use trueno_core::port::{Probe, Verification};
use trueno_core::runtime::accounts;
use trueno_core::vault::derive_external_id;
use utoipa::ToSchema;

use super::{List, schema};
use crate::HttpState;
use crate::extract::{
    IdInPath, IfMatch, JsonBody, Member, Query, Versioned, acts, list_query, named, precondition,
};
use crate::problem::Problem;

/// A connected cloud account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountItem {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CloudAccountId,
    /// The provider.
    #[schema(schema_with = schema::provider)]
    pub provider: Provider,
    /// The provider's number for it.
    #[schema(value_type = String)]
    pub number: AccountNumber,
    /// Its display name.
    pub name: String,
    /// The role that scans assume; `null` once it is disconnected.
    #[schema(value_type = Option<String>)]
    pub role_arn: Option<RoleArn>,
    /// Regions to look at; empty for every region that is enabled.
    #[schema(value_type = Vec<String>)]
    pub regions: Vec<Region>,
    /// Where it is in its life: only an `active` one is scanned.
    #[schema(schema_with = schema::account_status)]
    pub status: AccountStatus,
    /// When it was connected.
    pub created_at: Timestamp,
    /// Counts changes; the `ETag` of the account.
    pub version: Version,
}

impl From<CloudAccount> for AccountItem {
    fn from(account: CloudAccount) -> Self {
        let account = CloudAccountSummary::from(account);
        Self {
            id: account.id,
            provider: account.provider,
            number: account.number,
            name: account.name,
            role_arn: account.role_arn,
            regions: account.regions,
            status: account.status,
            created_at: account.created_at,
            version: account.version,
        }
    }
}

/// An account to connect.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// Its display name: 1 to 200 characters.
    name: String,
    /// The role that scans assume. The account is the one that the role belongs to.
    role_arn: String,
    /// Regions to look at; none for every region that is enabled.
    #[serde(default)]
    regions: Vec<String>,
}

/// A connection that waits for its role's trust policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectedAccount {
    /// The account.
    pub account: AccountItem,
    /// What the role's trust policy has to ask for as `sts:ExternalId`. It is shown this once and
    /// stored nowhere.
    pub external_id: String,
}

/// What a verification tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedAccount {
    /// The account: `active` where every probe passed, `unverified` otherwise.
    pub account: AccountItem,
    /// What was tried.
    pub probes: Vec<ProbeItem>,
}

/// One thing that a verification tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeItem {
    /// What was tried, and how it went.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub probe: Probe,
}

/// What to change of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountChange {
    status: WantedStatus,
}

/// Where an account should go.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WantedStatus {
    /// No scan is requested until it is resumed.
    Paused,
    /// Resumed: it has to be verified again.
    Pending,
}

list_query! {
    /// Which accounts.
    AccountQuery {}
}

/// Lists accounts, by id.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", params(AccountQuery), responses(
    (status = OK, description = "A page of accounts", body = List<AccountItem>),
))]
pub(super) async fn list(
    member: Member<acts::Read>,
    Query(query): Query<AccountQuery>,
) -> Result<Json<List<AccountItem>>, Problem> {
    let page = member.view().await?.accounts(&query.page()?).await?;
    Ok(Json(List::of(page, AccountItem::from)))
}

/// Connects an account: it waits for its verification.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts", request_body = NewAccount, responses(
    (status = CREATED, description = "The connection and its external id", body = ConnectedAccount),
))]
pub(super) async fn connect(
    State(state): State<HttpState>,
    member: Member<acts::ManageAccounts>,
    JsonBody(body): JsonBody<NewAccount>,
) -> Result<
    (
        StatusCode,
        [(HeaderName, String); 1],
        Json<ConnectedAccount>,
    ),
    Problem,
> {
    let Some(keys) = &state.keys else {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            "this server connects no accounts: it has no key file to derive external ids from",
        ));
    };
    let role: RoleArn = named("role_arn", body.role_arn.parse())?;
    let regions = body
        .regions
        .iter()
        .map(|region| named("regions", region.parse()))
        .collect::<Result<Vec<Region>>>()?;
    let id: CloudAccountId = state.ids.next(state.clock.now());
    let key = keys.newest();
    let external_id = derive_external_id(key, member.scope.organization(), id, FIRST_GENERATION);
    let number = role.account().clone();
    let access = AccessMethod::AssumeRole {
        role_arn: role,
        external_id_hash: external_id.hash(),
        key_id: key.id().to_owned(),
        generation: FIRST_GENERATION,
    };
    let new = NewCloudAccount::new(id, Provider::Aws, number, &body.name, access);
    let new = named("name", new)?.with_regions(regions);
    let account = accounts::connect(member.store.as_ref(), &member.scope, new).await?;
    let answer = ConnectedAccount {
        account: account.into(),
        external_id: external_id.expose().to_owned(),
    };
    let location = [(LOCATION, format!("/v1/accounts/{id}"))];
    Ok((StatusCode::CREATED, location, Json(answer)))
}

/// External ids count their rotations from here.
const FIRST_GENERATION: u32 = 1;

/// Shows an account.
#[utoipa::path(get, path = "/v1/accounts/{id}", tag = "accounts",
    params(("id" = uuid::Uuid, Path, description = "The account")), responses(
    (status = OK, description = "The account", body = AccountItem),
))]
pub(super) async fn one(
    member: Member<acts::Read>,
    IdInPath(id): IdInPath<CloudAccountId>,
) -> Result<Versioned<AccountItem>, Problem> {
    let account = member.view().await?.account(id).await?;
    Ok(Versioned(account.version, account.into()))
}

/// Pauses or resumes an account.
#[utoipa::path(patch, path = "/v1/accounts/{id}", tag = "accounts", request_body = AccountChange,
    params(
        ("id" = uuid::Uuid, Path, description = "The account"),
        ("If-Match" = String, Header, description = "The account's ETag"),
    ),
    responses(
    (status = OK, description = "The account as it is now", body = AccountItem),
))]
pub(super) async fn change(
    member: Member<acts::ManageAccounts>,
    IdInPath(id): IdInPath<CloudAccountId>,
    IfMatch(version): IfMatch,
    JsonBody(body): JsonBody<AccountChange>,
) -> Result<Versioned<AccountItem>, Problem> {
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let changed = match body.status {
        WantedStatus::Paused => accounts::pause(store, scope, id, version).await,
        WantedStatus::Pending => accounts::resume(store, scope, id, version).await,
    };
    let account = changed.map_err(precondition)?;
    Ok(Versioned(account.version, account.into()))
}

/// Disconnects an account for good: its role and its external id's hash are erased.
#[utoipa::path(delete, path = "/v1/accounts/{id}", tag = "accounts",
    params(
        ("id" = uuid::Uuid, Path, description = "The account"),
        ("If-Match" = String, Header, description = "The account's ETag"),
    ),
    responses(
    (status = OK, description = "The account as it is now", body = AccountItem),
))]
pub(super) async fn disconnect(
    member: Member<acts::ManageAccounts>,
    IdInPath(id): IdInPath<CloudAccountId>,
    IfMatch(version): IfMatch,
) -> Result<Versioned<AccountItem>, Problem> {
    let account = accounts::disconnect(member.store.as_ref(), &member.scope, id, version)
        .await
        .map_err(precondition)?;
    Ok(Versioned(account.version, account.into()))
}

/// Verifies an account: tries its role with the external id, and that nobody gets in without.
#[utoipa::path(post, path = "/v1/accounts/{id}/verification", tag = "accounts",
    params(("id" = uuid::Uuid, Path, description = "The account")), responses(
    (status = OK, description = "What was tried", body = VerifiedAccount),
))]
pub(super) async fn verify(
    State(state): State<HttpState>,
    member: Member<acts::ManageAccounts>,
    IdInPath(id): IdInPath<CloudAccountId>,
) -> Result<Json<VerifiedAccount>, Problem> {
    let provider = member.view().await?.account(id).await?.provider;
    let Some(scanner) = state.scanners.get(&provider) else {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            "this server verifies no accounts of this provider: it has no scanner for it",
        ));
    };
    let (store, scope) = (member.store.as_ref(), &member.scope);
    let (account, Verification { probes, .. }) =
        accounts::verify(store, scanner.as_ref(), scope, id).await?;
    Ok(Json(VerifiedAccount {
        account: account.into(),
        probes: probes
            .into_iter()
            .map(|probe| ProbeItem { probe })
            .collect(),
    }))
}
