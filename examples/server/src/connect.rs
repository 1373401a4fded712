//! `trueno connect`: what the owner of an account needs to let Trueno in.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use trueno_aws::{permission_policy, trust_policy};
use trueno_core::model::Provider;
use trueno_core::model::cloud_account::connection_id;
use trueno_core::vault::derive_external_id;
use trueno_server::keys;

use crate::cli::{ConnectArgs, ConnectFormat};
use crate::local;

#[expect(clippy::print_stdout, reason = "the result of the command")]
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
    match args.format {
        ConnectFormat::Json => {
            let result = json!({
                "connection": connection,
                "role_arn": role,
                "external_id": external_id.expose(),
                "trust_policy": trust,
                "permission_policy": permissions,
            });
            println!("{}", serde_json::to_string_pretty(&result)?);
        }
        ConnectFormat::Text => {
            println!("role         {role}");
            println!("connection   {connection}");
            println!("external id  {}", external_id.expose());
            println!();
            println!("trust policy of the role:");
            println!("{}", serde_json::to_string_pretty(&trust)?);
            println!();
            println!("permissions that a scan needs, and no more:");
            println!("{}", serde_json::to_string_pretty(&permissions)?);
            println!();
            println!("then: trueno scan --ambient --role-arn {role}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
