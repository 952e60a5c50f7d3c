//! Variables of Flota itself: its servers, and how its processes behave.

use crate::config::env::variable::{Shown, Variable, plain, secret};

const REDIS: &str = "Redis";
const POSTGRES: &str = "Postgres";
const FLEET: &str = "Fleet";
const LOGS: &str = "Logs and metrics";
const API: &str = "HTTP API";

/// Redis and Postgres.
pub(super) const SERVERS: &[Variable] = &[
    Variable {
        group: REDIS,
        name: "REDIS_URL",
        shown: Shown::WithoutPassword,
        default: None,
        example: "redis://localhost:6379/",
        meaning: "Address of Redis: redis://[user:password@]host[:port][/db], rediss:// for TLS. Set this or the four \
                  parts below; both only if they agree.",
    },
    plain(REDIS, "REDIS_HOST", Some("localhost"), "localhost", "Host of Redis."),
    plain(REDIS, "REDIS_PORT", Some("6379"), "6379", "Port of Redis."),
    secret(REDIS, "REDIS_PASSWORD", "REPLACE_ME", "Password of Redis."),
    plain(REDIS, "REDIS_TLS", Some("false"), "false", "true to reach Redis over TLS."),
    Variable {
        group: POSTGRES,
        name: "DATABASE_URL",
        shown: Shown::WithoutPassword,
        default: None,
        example: "postgres://flota:REPLACE_ME@localhost:5432/flota",
        meaning: "Address of Postgres, where the history of jobs is kept. While it is away workers go on, and history \
                  waits in Redis.",
    },
];

/// The fleet, logs and metrics, the HTTP API.
pub(super) const PROCESSES: &[Variable] = &[
    plain(
        FLEET,
        "FLOTA_ENV",
        Some("development"),
        "production",
        "development or production. Production refuses settings that are only good for trying things out.",
    ),
    plain(
        FLEET,
        "FLOTA_ALLOW_LIVE_ON_LOOPBACK",
        Some("false"),
        "true",
        "true to let live credentials go to an address of this machine, because a proxy here forwards to the vendor. \
         Without it they are refused there, so that a sandbox never gets one.",
    ),
    plain(
        FLEET,
        "FLOTA_QUEUES_FILE",
        Some("queues.toml in the working directory, or else the one built in"),
        "/etc/flota/queues.toml",
        "File of queues.",
    ),
    plain(
        FLEET,
        "FLOTA_KEY_PREFIX",
        Some("flota"),
        "flota",
        "First part of every key in Redis, so that several fleets can share one. Producers need the same.",
    ),
    plain(
        FLEET,
        "FLOTA_FETCH_ALLOW_CIDRS",
        None,
        "10.30.0.0/16",
        "Networks that files and push services named by a job may be in although they are private, separated by commas. \
         Whoever may enqueue reads from there, so leave it empty where tenants choose URLs.",
    ),
    plain(
        FLEET,
        "FLOTA_FILES_DIR",
        None,
        "/var/lib/flota/files",
        "The only directory that jobs may read files from (attachments, recordings, pictures). Long results are written into \
         its folder results.",
    ),
    plain(
        FLEET,
        "FLOTA_SPOOL_DIR",
        Some("the system's directory for temporary files"),
        "/var/lib/flota/spool",
        "Directory where files of jobs above 1 MiB lie while a job works with them. They have no name there and are gone \
         with the job or the process. It needs room for the largest files that run at once: 100 MiB for each WhatsApp \
         document and each recording.",
    ),
    secret(
        FLEET,
        "FLOTA_ENCRYPTION_KEYS",
        "2026a:REPLACE_ME",
        "Keys that encrypt stored credentials: id:base64key[,id:base64key], 32 bytes each; make one with \
         `flota keys encryption`. The first encrypts what is new, all of them read.",
    ),
    plain(
        LOGS,
        "FLOTA_ADMIN_ADDR",
        None,
        "127.0.0.1:9464",
        "Address where a process answers for its health and metrics; `flota serve` uses 127.0.0.1:9090 unless it is set, \
         and a worker has no listener without it. Other machines may reach it only with FLOTA_ADMIN_PUBLIC=true.",
    ),
    plain(
        LOGS,
        "FLOTA_ADMIN_PUBLIC",
        Some("false"),
        "true",
        "true to let health and metrics, which have no password, be reached from other machines: in a pod, whose probes come \
         from its node. Guard the port with a network policy.",
    ),
    plain(
        LOGS,
        "LOG_FORMAT",
        Some("pretty on a terminal, otherwise json"),
        "json",
        "pretty (one line for people) or json (one object per line). Logs go to standard error.",
    ),
    plain(
        LOGS,
        "RUST_LOG",
        Some("info,sqlx=warn,hyper=warn,reqwest=warn"),
        "info,sqlx=warn,hyper=warn,reqwest=warn",
        "What is logged: levels error, warn, info, debug, trace, by module.",
    ),
    plain(
        LOGS,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        "http://localhost:4318",
        "Collector of traces, OTLP over HTTP. Without it there are no traces. OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, \
         OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG and OTEL_BSP_* are obeyed as OpenTelemetry defines them.",
    ),
    secret(
        LOGS,
        "OTEL_EXPORTER_OTLP_HEADERS",
        "api-key=REPLACE_ME",
        "Headers of every message to the collector: name=value,name=value.",
    ),
    plain(LOGS, "NO_COLOR", None, "1", "Any value turns colours off (https://no-color.org)."),
    plain(
        API,
        "FLOTA_API_ADDR",
        Some("127.0.0.1:8080"),
        "0.0.0.0:8080",
        "Address of the HTTP API of `flota serve`. One that other machines reach needs a token first: `flota token create`.",
    ),
    plain(
        API,
        "FLOTA_API_RATE",
        Some("100"),
        "500",
        "Requests a second that each API token may make, with as many again at once after a pause.",
    ),
];
