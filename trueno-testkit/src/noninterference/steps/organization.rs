//! The organization, its members and accounts.

use trueno_core::access::Action;
use trueno_core::error::Error;
use trueno_core::id::{CloudAccountId, UserId};
use trueno_core::model::{
    AccessMethod, EventDraft, ExternalIdHash, NewCloudAccount, NewOrganization, Provider, Role,
};
use trueno_core::state::cloud_account::AccountEvent;

use super::{Life, Stage, shown_account};
use crate::fixtures::region;
use crate::noninterference::names::Thing;

/// Account numbers are the same in both organizations.
const NUMBERS: [&str; 3] = ["111122223333", "444455556666", "777788889999"];

impl Life {
    /// Makes the organization, with an approver and an analyst.
    pub(super) async fn found(&mut self, stage: &Stage<'_>) {
        stage.tick().await;
        let (id, owner) = (self.organization, self.users[0]);
        let name = self.text("Organization");
        let new = NewOrganization::new(id, &name, owner).unwrap();
        let event = EventDraft::new("organization.created", "organization", id);
        let created = stage.store.create_organization(new, event).await;
        self.notes.answer("create_organization", &created);
        assert!(created.is_ok(), "the organization is made: {created:?}");

        let (approver, analyst) = (self.fresh(Thing::User), self.fresh(Thing::User));
        self.users.extend([approver, analyst]);
        if let Some(scope) = self.scope_of(stage, owner, Action::ManageMembers).await {
            self.change(stage, "member.added", &scope, async |unit| {
                Ok((
                    unit.insert_member(approver, Role::Approver).await?,
                    unit.insert_member(analyst, Role::Analyst).await?,
                ))
            })
            .await;
        }
    }

    pub(super) async fn change_member(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::ManageMembers).await else {
            return;
        };
        if self.chance(0.5) {
            // Now and then somebody who is one already.
            let known = self.chance(0.1);
            let user: UserId = match known {
                true => self.pick(&self.users.clone()),
                false => self.fresh(Thing::User),
            };
            let role = self.pick(Role::ALL);
            self.change(stage, "member.added", &scope, async |unit| {
                unit.insert_member(user, role).await
            })
            .await;
            if !known {
                self.users.push(user);
            }
            return;
        }
        let user = self.pick(&self.users.clone());
        let Some(before) = self
            .look(stage, "member", &scope, async |view| {
                view.member(user).await
            })
            .await
        else {
            return;
        };
        let version = self.version(before.version);
        if self.chance(0.3) {
            self.change(stage, "member.removed", &scope, async |unit| {
                unit.remove_member(user, version).await
            })
            .await;
        } else {
            let role = self.pick(Role::ALL);
            self.change(stage, "member.role_set", &scope, async |unit| {
                unit.set_member_role(user, version, role).await
            })
            .await;
        }
    }

    /// Connects an account, and verifies it.
    pub(super) async fn connect(&mut self, stage: &Stage<'_>) {
        let owner = self.users[0];
        let Some(scope) = self.scope_of(stage, owner, Action::ManageAccounts).await else {
            return;
        };
        let id: CloudAccountId = self.fresh(Thing::Account);
        let number = self.pick(&NUMBERS);
        let access = if self.chance(0.5) {
            AccessMethod::AssumeRole {
                role_arn: format!("arn:aws:iam::{number}:role/ReadOnly")
                    .parse()
                    .unwrap(),
                external_id_hash: ExternalIdHash::from_bytes([self.names.side as u8; 32]),
                key_id: "k1".to_owned(),
                generation: 1,
            }
        } else {
            AccessMethod::Ambient
        };
        let (number, name) = (number.parse().unwrap(), self.text("Account"));
        let new = NewCloudAccount::new(id, Provider::Aws, number, &name, access)
            .unwrap()
            .with_regions(vec![region("eu-west-1"), region("us-east-1")]);
        let verified = self.chance(0.95);
        self.change(stage, "cloud_account.connected", &scope, async |unit| {
            let account = unit.insert_account(new).await?;
            let event = match verified {
                true => AccountEvent::Verified,
                false => AccountEvent::VerificationFailed,
            };
            let moved = unit.apply_account(id, account.version, event).await?;
            Ok((shown_account(&account), shown_account(&moved)))
        })
        .await;
        // Known also where it was refused, so that its absence is looked at.
        self.accounts.push(id);
    }

    pub(super) async fn move_account(&mut self, stage: &Stage<'_>) {
        let Some(scope) = self.scope(stage, Action::ManageAccounts).await else {
            return;
        };
        let id = self.one_of(&self.accounts.clone(), Thing::Account);
        let version = self.version(0);
        let event = self.pick(&[
            AccountEvent::Verified,
            AccountEvent::Verified,
            AccountEvent::VerificationFailed,
            AccountEvent::Paused,
            AccountEvent::Resumed,
            AccountEvent::Resumed,
            AccountEvent::Disconnected,
        ]);
        self.change(stage, "cloud_account.moved", &scope, async |unit| {
            let before = unit.account(id).await?;
            let version = before.version + version;
            let moved = unit.apply_account(id, version, event).await?;
            Ok((shown_account(&before), shown_account(&moved)))
        })
        .await;
    }

    /// The organization's end, by whoever is an owner of it by now.
    pub(in crate::noninterference) async fn erase(&mut self, stage: &Stage<'_>) {
        for user in self.users.clone() {
            let Some(scope) = self.scope_of(stage, user, Action::EraseOrganization).await else {
                continue;
            };
            let erased = self
                .change(stage, "organization.erased", &scope, async |unit| {
                    unit.erase_organization().await?;
                    Ok::<_, Error>(())
                })
                .await;
            self.is_over |= erased;
            return;
        }
    }
}
