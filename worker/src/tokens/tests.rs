//! Making, using and revoking tokens, on a real Postgres.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::*;
use crate::outcomes::tests::servers;

fn wanted(name: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        role: Role::Operator,
        may_see_payloads: false,
        tenant: Some("acme".to_owned()),
        expires_at: None,
    }
}

async fn deeds(pool: &PgPool) -> Vec<String> {
    let sql = "SELECT actor || ' ' || action || ' ' || subject FROM audit_log ORDER BY id";
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_token_opens_the_door_until_it_is_revoked() {
    let pool = servers().database().await;
    assert!(!any_usable(&pool).await.unwrap());

    let (text, row) = create(&pool, &wanted("billing"), "cli:ana").await.unwrap();
    let grant = Door::new(Some(pool.clone())).open(text.reveal()).await.unwrap();
    assert!(any_usable(&pool).await.unwrap());
    let revoked = revoke(&pool, "billing", "cli:ana").await.unwrap().unwrap();
    let refused = Door::new(Some(pool.clone())).open(text.reveal()).await;

    assert_eq!((grant.id, grant.role, grant.tenant.as_deref()), (row.id, Role::Operator, Some("acme")));
    assert_eq!(grant.actor(), "api:billing");
    assert_eq!((revoked.id, refused), (row.id, Err(Refusal::Revoked)));
    assert!(list(&pool).await.unwrap()[0].last_used_at.is_some());
    assert_eq!(deeds(&pool).await, ["cli:ana token.create billing", "cli:ana token.revoke billing"]);
    assert_eq!(revoke(&pool, &row.id.to_string(), "cli:ana").await.unwrap(), None, "once is enough");
}

#[tokio::test]
async fn nothing_of_the_secret_is_kept() {
    let pool = servers().database().await;
    let (text, _) = create(&pool, &wanted("ci"), "cli:ana").await.unwrap();

    let sql = "SELECT coalesce((SELECT string_agg(t::text, '|') FROM api_tokens t), '') || '|' || \
               coalesce((SELECT string_agg(a::text, '|') FROM audit_log a), '')";
    let kept: String = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();

    assert!(kept.contains("ci") && !kept.contains(&text.reveal()[PREFIX.len()..]), "{kept}");
}

#[tokio::test]
async fn expired_unknown_and_malformed_tokens_are_told_apart() {
    let pool = servers().database().await;
    let past: DateTime<Utc> = "2020-01-01T00:00:00Z".parse().unwrap();
    let old = NewToken { expires_at: Some(past), ..wanted("old") };
    let (expired, _) = create(&pool, &old, "cli:ana").await.unwrap();
    let unknown = TokenText::mint().unwrap();

    let door = Door::new(Some(pool.clone()));

    assert_eq!(door.open(expired.reveal()).await, Err(Refusal::Expired));
    assert_eq!(door.open(unknown.reveal()).await, Err(Refusal::Unknown));
    assert_eq!(door.open("hunter2").await, Err(Refusal::Malformed));
    assert_eq!(Door::new(None).open(unknown.reveal()).await, Err(Refusal::Away));
    assert!(!any_usable(&pool).await.unwrap(), "an expired token is of no use to anybody");
}

#[tokio::test]
async fn a_name_belongs_to_one_token_in_use() {
    let pool = servers().database().await;
    create(&pool, &wanted("ci"), "cli:ana").await.unwrap();

    let twice = create(&pool, &wanted("ci"), "cli:ana").await;
    assert!(matches!(twice, Err(TokenError::NameTaken(name)) if name == "ci"));
    revoke(&pool, "ci", "cli:ana").await.unwrap();
    assert!(create(&pool, &wanted("ci"), "cli:ana").await.is_ok(), "a revoked token gives its name back");
    for bad in ["", "a b", "a:b", "ünï", &"x".repeat(65)] {
        let refused = create(&pool, &wanted(bad), "cli:ana").await;
        assert!(matches!(refused, Err(TokenError::BadName(_))), "{bad}");
    }
}

#[tokio::test]
async fn what_was_looked_up_is_known_for_a_moment() {
    let pool = servers().database().await;
    let (text, _) = create(&pool, &wanted("ci"), "cli:ana").await.unwrap();
    let door = Door::new(Some(pool.clone()));
    door.open(text.reveal()).await.unwrap();

    pool.close().await;

    assert!(door.open(text.reveal()).await.is_ok(), "Postgres is not asked for every request");
    assert_eq!(door.open(TokenText::mint().unwrap().reveal()).await, Err(Refusal::Away));
}
