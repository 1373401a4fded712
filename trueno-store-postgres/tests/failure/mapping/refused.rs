//! What the server answers with an SQLSTATE, in a statement and in a commit.

use trueno_core::error::ErrorKind;

use super::{Expected, Place, connected, error_of};

/// Every SQLSTATE that a caller may meet, as it is understood.
/// Source: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
const ANSWERS: [Expected; 27] = [
    Expected::new(ErrorKind::Unavailable, "08006"),
    Expected::new(ErrorKind::InvalidInput, "22003"),
    Expected::new(ErrorKind::InvalidInput, "22008"),
    Expected::new(ErrorKind::InvalidInput, "22021"),
    Expected::new(ErrorKind::InvalidInput, "22P05"),
    Expected::new(ErrorKind::NotFound, "23503"),
    Expected::new(ErrorKind::AlreadyExists, "23505"),
    Expected::new(ErrorKind::InvalidInput, "23514"),
    Expected::new(ErrorKind::Unavailable, "25006"),
    Expected::new(ErrorKind::Timeout, "25P03"),
    Expected::new(ErrorKind::Timeout, "25P04"),
    Expected::new(ErrorKind::Serialization, "40001"),
    Expected::new(ErrorKind::Deadlock, "40P01"),
    Expected::new(ErrorKind::Denied, "42501"),
    Expected::new(ErrorKind::StorageFull, "53100"),
    Expected::new(ErrorKind::Exhausted, "53200"),
    Expected::new(ErrorKind::Exhausted, "53300"),
    Expected::new(ErrorKind::Exhausted, "53400"),
    Expected::new(ErrorKind::InvalidInput, "54000"),
    Expected::new(ErrorKind::Timeout, "55P03"),
    Expected::new(ErrorKind::Timeout, "57014"),
    Expected::new(ErrorKind::Unavailable, "57P01"),
    Expected::new(ErrorKind::Unavailable, "57P03"),
    Expected::new(ErrorKind::Unexpected, "58030"),
    Expected::new(ErrorKind::Corrupt, "XX001"),
    Expected::new(ErrorKind::Corrupt, "XX002"),
    Expected::new(ErrorKind::Unexpected, "XX000"),
];

/// Answers of a commit that leave open whether it was applied.
const OPEN: [&str; 3] = ["08006", "57P01", "57P03"];

/// Refuses accounts with the SQLSTATE in the table, and tells their values in every part of the
/// error: as an error of a constraint would.
const REFUSE: &str = "
    create table refusal (code text);
    create function refuse() returns trigger language plpgsql security definer as $$
    declare
        refused text := (select code from public.refusal);
    begin
        if refused is not null then
            raise exception using errcode = refused, message = new.name, detail = new.name,
                hint = new.name, table = 'cloud_account', column = new.name;
        end if;
        return new;
    end $$;";

async fn refusing(trigger: &str) -> Place {
    let place = Place::new(|config| config).await;
    place.database.execute(REFUSE).await;
    place.database.execute(trigger).await;
    place
}

async fn refuse_with(place: &Place, code: Option<&str>) {
    place.database.execute("truncate refusal").await;
    if let Some(code) = code {
        let insert = format!("insert into refusal values ('{code}')");
        place.database.execute(&insert).await;
    }
}

#[tokio::test]
async fn every_answer_to_a_statement_is_told_as_what_it_is() {
    let place = refusing(
        "create trigger refuse before insert on trueno.cloud_account
         for each row execute function refuse()",
    )
    .await;
    for expected in ANSWERS {
        refuse_with(&place, expected.code).await;
        let mut unit = place.world.begin_accounts(&place.tenant).await;
        let new = place.new_account();
        let id = new.id;
        let expected = match expected.kind {
            // All that an account refers to is its organization, and the error says so.
            ErrorKind::NotFound => Expected {
                code: None,
                ..expected
            },
            _ => expected,
        };
        expected.holds(&error_of(unit.insert_account(new).await));
        // The unit is spent: nothing half-done can be committed.
        let spent = error_of(unit.commit(connected(id)).await);
        assert_eq!(spent.kind(), ErrorKind::Conflict, "{spent:?}");
        assert!(spent.certainly_not_applied(), "{spent:?}");
    }
    refuse_with(&place, None).await;
    assert_eq!(place.accounts().await, 0);
    place.works().await;
}

#[tokio::test]
async fn every_answer_to_a_commit_says_truly_whether_it_was_applied() {
    let place = refusing(
        "create constraint trigger refuse after insert on trueno.cloud_account
         deferrable initially deferred for each row execute function refuse()",
    )
    .await;
    let doubtful = ["08007", "40003"].map(|code| {
        let kind = if code == "08007" {
            ErrorKind::Unavailable
        } else {
            ErrorKind::Unexpected
        };
        Expected::new(kind, code).perhaps_applied()
    });
    for expected in ANSWERS.into_iter().chain(doubtful) {
        let code = expected.code.unwrap();
        let expected = if OPEN.contains(&code) {
            expected.perhaps_applied()
        } else {
            expected
        };
        refuse_with(&place, expected.code).await;
        expected.holds(&error_of(place.add_account().await));
        assert_eq!(place.accounts().await, 0, "{code}");
    }
    refuse_with(&place, None).await;
    place.works().await;
}

#[tokio::test]
async fn causes_that_call_for_different_deeds_have_kinds_of_their_own() {
    let kind = |code: &str| {
        let answer = ANSWERS.iter().find(|answer| answer.code == Some(code));
        answer.unwrap().kind
    };
    let apart = ["40001", "40P01", "53100", "53300", "57014", "57P01"].map(kind);
    for (nth, one) in apart.iter().enumerate() {
        assert!(!apart[..nth].contains(one), "{one:?} stands for two causes");
    }
}
