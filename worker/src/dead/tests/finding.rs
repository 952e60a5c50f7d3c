//! Filters, pages and groups.

use super::*;

async fn found(pool: &PgPool, filter: &Filter) -> i64 {
    let listed = page(pool, filter, None, 1_000).await.unwrap().len() as i64;
    assert_eq!(count(pool, filter).await.unwrap(), listed, "{filter:?}");
    listed
}

#[tokio::test]
async fn letters_are_chosen_by_every_filter() {
    let pool = letters(12).await;
    let some = |text: &str| Some(text.to_owned());
    let any = Filter::default();
    let payload = |text: &str| Filter { payload: vec![text.parse().unwrap()], ..Filter::default() };

    for (filter, expected) in [
        (any.clone(), 12),
        (Filter { queue: some("email"), ..any.clone() }, 6),
        (Filter { kind: some("deliver_webhook"), ..any.clone() }, 6),
        (Filter { tenant: some("acme"), ..any.clone() }, 4),
        (Filter { error_class: some("permanent"), ..any.clone() }, 6),
        (Filter { code: some("503"), ..any.clone() }, 6),
        (Filter { fingerprint: some("aaaa"), queue: some("webhook"), ..any.clone() }, 0),
        (Filter { attempts: "4..".parse().ok(), ..any.clone() }, 3),
        (Filter { since: "2026-11-21T17:59:56Z".parse().ok(), ..any.clone() }, 4),
        (Filter { until: "2026-11-21T17:59:56Z".parse().ok(), ..any.clone() }, 8),
        (Filter { text: some("MAILBOX"), ..any.clone() }, 6),
        (Filter { text: some("100%"), ..any.clone() }, 6),
        (Filter { text: some("10%sure"), ..any.clone() }, 0),
        (Filter { text: some("u7@example"), ..any.clone() }, 1),
        (payload("payload.to=u3@example.com"), 1),
        (payload("payload.to.0=u3@example.com"), 1),
        (payload("payload.n=5"), 1),
        (payload("payload.n.x=5"), 0),
        (payload("payload.'; DROP TABLE dead_letters; --=5"), 0),
        (Filter { ids: vec![id(1), id(2), id(99)], ..any.clone() }, 2),
        (Filter { state: Some("replayed"), ..any.clone() }, 0),
        (Filter { state: Some("dead"), ..any.clone() }, 12),
    ] {
        assert_eq!(found(&pool, &filter).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps_although_letters_share_a_time() {
    let pool = letters(23).await;
    sqlx::query("UPDATE dead_letters SET died_at = '2026-11-21Z'").execute(&pool).await.unwrap();
    let (mut seen, mut before) = (Vec::new(), None);

    loop {
        let rows = page(&pool, &Filter::default(), before, 5).await.unwrap();
        let Some(last) = rows.last() else { break };
        before = position_of(&pool, last.id).await.unwrap();
        seen.extend(rows.into_iter().map(|row| row.id));
    }

    assert_eq!(seen, (1..=23).rev().map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn groups_count_what_failed_alike_and_show_the_newest() {
    let pool = letters(11).await;

    let all = groups(&pool, &Filter { state: Some("dead"), ..Filter::default() }, 10).await.unwrap();
    let acme = Filter { tenant: Some("acme".into()), ..Filter::default() };
    let acme = groups(&pool, &acme, 1).await.unwrap();

    let short: Vec<_> = all.iter().map(|g| (g.fingerprint.as_str(), g.count, g.sample)).collect();
    assert_eq!(short, [("bbbb", 6, id(1)), ("aaaa", 5, id(2))]);
    assert_eq!(all[0].last_at - all[0].first_at, chrono::Duration::seconds(10));
    assert_eq!((acme[0].count, acme[0].sample), (2, id(3)), "3 and 9, before 6 by name");
}

#[tokio::test]
async fn an_export_has_every_letter_with_its_input() {
    let pool = letters(3).await;
    sqlx::query("UPDATE dead_letters SET error = '=1+1' WHERE queue = 'email'").execute(&pool).await.unwrap();
    let (mut lines, mut table) = (Vec::new(), Vec::new());

    let written = export::export(&pool, &Filter::default(), export::Form::Jsonl, &mut lines).await.unwrap();
    export::export(&pool, &Filter::default(), export::Form::Csv, &mut table).await.unwrap();

    assert_eq!(written, 3);
    let first: serde_json::Value =
        serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!((&first["payload"]["n"], &first["fingerprint"]), (&1.into(), &"bbbb".into()));
    let table = String::from_utf8(table).unwrap();
    assert!(table.starts_with(export::COLUMNS) && table.contains(",'=1+1,"), "{table}");
}
