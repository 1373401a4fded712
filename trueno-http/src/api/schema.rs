//! Schemas of core's closed sets of names, from the sets themselves.

use utoipa::openapi::{ObjectBuilder, Schema, Type};

macro_rules! text_enums {
    ($($function:ident: $name:ident;)+) => {
        $(
            pub(super) fn $function() -> Schema {
                let names = trueno_core::model::$name::ALL.iter().map(|name| name.as_str());
                Schema::Object(
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some(names))
                        .build(),
                )
            }
        )+
    };
}

text_enums! {
    account_status: AccountStatus;
    exception_status: ExceptionStatus;
    finding_status: FindingStatus;
    missed_ticks: MissedTicks;
    provider: Provider;
    role: Role;
    scan_kind: ScanKind;
    schedule_status: ScheduleStatus;
    severity: Severity;
}
