//! The read door.

use trueno_core::access::OrgScope;
use trueno_core::id::OrganizationId;

use crate::transaction::Tx;

/// A view as of one moment: a transaction that reads only.
///
/// A statement that was dropped half-way is waited for by the next one, and one that found nothing
/// spoils nothing, so the view goes on.
pub(super) struct PgReadView {
    pub(super) tx: Tx,
    pub(super) scope: OrgScope,
}

impl PgReadView {
    pub(super) fn new(tx: Tx, scope: OrgScope) -> Self {
        Self { tx, scope }
    }

    pub(super) fn organization(&self) -> OrganizationId {
        self.scope.organization()
    }
}

/// Implements a trait of reads, for the view alone or for the unit of work too, by functions of the
/// calling module that take a transaction, an organization and the method's arguments.
macro_rules! reads {
    ($trait:ident {
        $(fn $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)+
    } for view) => {
        #[async_trait::async_trait]
        impl $trait for $crate::tenant_store::view::PgReadView {
            $(async fn $method(
                &mut self,
                $($argument: $kind),*
            ) -> trueno_core::error::Result<$answer> {
                let operation = concat!("tenant_store.", stringify!($method));
                let organization = $crate::tenant_store::view::PgReadView::organization(self);
                $method(&mut self.tx, organization, $($argument),*)
                    .await
                    .map_err(|error| error.with_operation(operation))
            })+
        }
    };
    ($trait:ident {
        $(fn $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)+
    } for view and unit) => {
        $crate::tenant_store::view::reads! {
            $trait { $(fn $method($($argument: $kind),*) -> $answer;)+ } for view
        }

        #[async_trait::async_trait]
        impl $trait for $crate::tenant_store::unit::PgUnitOfWork {
            $(async fn $method(
                &mut self,
                $($argument: $kind),*
            ) -> trueno_core::error::Result<$answer> {
                $crate::tenant_store::unit::step!(self, $method, tx =>
                    $method(&mut tx, self.organization(), $($argument),*))
            })+
        }
    };
}

pub(super) use reads;
