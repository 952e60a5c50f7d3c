//! Everything that a worker and its commands write down: where canaries are looked for.

use sqlx::Row;

use super::Stage;
use crate::canaries::search::Place;

impl Stage {
    /// Everything that was written down.
    pub(in crate::canaries) async fn everything(&self) -> Vec<Place> {
        let mut places = vec![
            Place { name: "the log".to_owned(), text: format!("{}{}", self.old_logs, self.worker.log()) },
            Place { name: "/metrics".to_owned(), text: self.metrics().await },
            Place { name: "Redis".to_owned(), text: self.redis_dump().await },
            Place { name: "Postgres".to_owned(), text: self.postgres_dump().await },
        ];
        assert!(places[0].text.contains("TRACE"), "the log is at TRACE");
        for arguments in [
            &["config", "show"][..],
            &["config", "check"],
            &["doctor", "--online"],
            &["endpoint", "list"],
            &["dead", "list"],
            &["dead", "groups"],
            &["job", "list"],
            &["workers", "list"],
        ] {
            let said = self.flota.flota(arguments).await;
            let text = format!("{}{}", said.stdout, said.stderr);
            assert!(!text.is_empty(), "{arguments:?} said nothing");
            places.push(Place { name: format!("flota {}", arguments.join(" ")), text });
        }
        places
    }

    async fn metrics(&self) -> String {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client of HTTP");
        let url = format!("{}/metrics", self.worker.address().await);
        let text = client.get(url).send().await.expect("an answer").text().await.expect("text");
        assert!(text.contains("flota_provider_calls_total"), "{text}");
        text
    }

    /// Every key and value.
    async fn redis_dump(&self) -> String {
        let keys: Vec<String> = self.link.query(redis::cmd("KEYS").arg("*")).await.expect("Redis answers");
        let mut text = String::new();
        for key in keys {
            let kind: String = self.link.query(redis::cmd("TYPE").arg(&key)).await.expect("Redis answers");
            let mut read = match kind.as_str() {
                "hash" => redis::cmd("HGETALL"),
                "list" => redis::cmd("LRANGE"),
                "zset" => redis::cmd("ZRANGE"),
                "set" => redis::cmd("SMEMBERS"),
                "stream" => redis::cmd("XRANGE"),
                _ => redis::cmd("GET"),
            };
            read.arg(&key);
            match kind.as_str() {
                "list" | "zset" => read.arg(0).arg(-1),
                "stream" => read.arg("-").arg("+"),
                _ => &mut read,
            };
            let value: redis::Value = self.link.query(&read).await.expect("Redis answers");
            text.push_str(&key);
            write_down(&value, &mut text);
        }
        assert!(text.contains("send_sms"), "jobs wait in Redis");
        text
    }

    /// Every row of every table.
    async fn postgres_dump(&self) -> String {
        let pool = self.flota.pool();
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
        )
        .fetch_all(&pool)
        .await
        .expect("Postgres answers");
        let mut text = String::new();
        for table in tables {
            let query = format!("SELECT row_to_json(t)::text AS row FROM {table} t");
            let rows =
                sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&pool).await.expect("Postgres answers");
            for row in rows {
                text.push_str(row.get::<&str, _>("row"));
                text.push('\n');
            }
        }
        assert!(text.contains("We do not like"), "dead letters say what providers said");
        text
    }
}

fn write_down(value: &redis::Value, text: &mut String) {
    match value {
        redis::Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        redis::Value::SimpleString(line) => text.push_str(line),
        redis::Value::Array(values) | redis::Value::Set(values) => {
            for value in values {
                write_down(value, text);
            }
        }
        redis::Value::Map(pairs) => {
            for (key, value) in pairs {
                write_down(key, text);
                write_down(value, text);
            }
        }
        other => text.push_str(&format!("{other:?}")),
    }
    text.push('\n');
}
