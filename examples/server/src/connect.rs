//! `trueno connect`: what the owner of an account needs to let Trueno in.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use trueno_aws::{permission_policy, trust_policy};
use trueno_core::model::Provider;
use trueno_core::model::cloud_account::connection_id;
use trueno_core::vault::derive_external_id;
use trueno_server::keys;
use trueno_server::output::out;

use crate::cli::{ConnectArgs, ConnectFormat};
use crate::local;

pub(crate) fn run(args: &ConnectArgs) -> Result<ExitCode> {
    let keys = keys::load_or_create(&keys::path(args.keys.key_file.as_deref())?)?;
    let role = &args.role_arn;
    let organization = local::organization_id(&args.organization);
    let connection = connection_id(
        organization,
        Provider::Aws,
        role.account(),
        Some(role.role_name()),
    );
    let external_id =
        derive_external_id(keys.newest(), organization, connection, local::GENERATION);
    let own_account = format!("arn:{}:iam::{}:root", role.partition(), role.account());
    let principal = args.principal.as_deref().unwrap_or(&own_account);
    let trust = trust_policy(principal, &external_id);
    let permissions = permission_policy();
    let text = match args.format {
        ConnectFormat::Json => serde_json::to_string_pretty(&json!({
            "connection": connection,
            "role_arn": role,
            "external_id": external_id.expose(),
            "trust_policy": trust,
            "permission_policy": permissions,
        }))?,
        ConnectFormat::Text => format!(
            "role         {role}\n\
             connection   {connection}\n\
             external id  {}\n\n\
             trust policy of the role:\n{}\n\n\
             permissions that a scan needs, and no more:\n{}\n\n\
             then: trueno scan --ambient --role-arn {role}",
            external_id.expose(),
            serde_json::to_string_pretty(&trust)?,
            serde_json::to_string_pretty(&permissions)?,
        ),
    };
    out(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
