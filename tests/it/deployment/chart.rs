//! The chart: its values are of the form that its schema asks for, what cannot work is refused, every queue is worked on.
//! Templates are rendered where helm is installed; elsewhere only their form, ports and command lines are checked.

use flota_worker::config::env::VARIABLES;
use serde_json::{Value, json};

use super::{optional_program, read, run, yaml};

const CHART: &str = "deploy/helm/flota";

fn schema() -> jsonschema::Validator {
    let schema = serde_json::from_str(&read(&format!("{CHART}/values.schema.json"))).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

/// The values that the chart comes with, and the one that everybody has to set.
fn values() -> Value {
    let mut values = yaml(&format!("{CHART}/values.yaml"));
    values["existingSecret"] = json!("flota");
    values
}

#[test]
fn the_values_that_it_comes_with_need_only_the_secret() {
    let schema = schema();
    let without = yaml(&format!("{CHART}/values.yaml"));

    assert!(schema.is_valid(&values()));
    let said: Vec<String> =
        schema.iter_errors(&without).map(|error| error.instance_path().to_string()).collect();
    assert_eq!(said, ["/existingSecret"]);
}

#[test]
fn a_value_that_cannot_work_is_refused() {
    let schema = schema();
    for (place, value) in [
        ("/workers/messages/queues", json!([])),
        ("/workers/messages/queues", json!(["Email"])),
        ("/workers/messages/queues", json!(["email", "email"])),
        ("/workers/messages/replicas/min", json!(-1)),
        ("/workers/messages/replicas/max", json!(0)),
        ("/workers/messages/replicas/min", json!("1")),
        ("/workers/messages/backlogPerReplica", json!(0)),
        ("/workers/messages/drainSeconds", json!(5)),
        ("/workers/messages/drainSeconds", json!("25s")),
        ("/workers", json!({})),
        ("/workers", json!({ "Group_1": values()["workers"]["messages"] })),
        ("/scaling/pollingSeconds", json!(0)),
        ("/scaling/fallbackReplicas", json!(0)),
        ("/scaling", json!({ "enabled": "yes" })),
        ("/serve/replicas", json!(0)),
        ("/image/tag", json!("latest")),
        ("/image/repository", json!("")),
        ("/existingSecret", json!("Not A Name")),
        ("/networkPolicy/egressPorts", json!([])),
        ("/networkPolicy/egressPorts/0", json!(70_000)),
        ("/env", json!({ "DATABASE_URL": "postgres://flota:secret@db/flota" })),
        ("/env", json!({ "SENDGRID_API_KEY": "SG.x" })),
        ("/env", json!({ "WEBHOOK_SECRET": "whsec_x" })),
        ("/env", json!({ "SMTP_PORT": 587 })),
        ("/env", json!({ "smtp_host": "mail" })),
    ] {
        let mut values = values();
        *values.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value.clone();
        assert!(!schema.is_valid(&values), "{place} may be {value}");
    }
    for unknown in ["replicaCount", "worker", "autoscaling"] {
        let mut values = values();
        values[unknown] = json!({});
        assert!(!schema.is_valid(&values), "{unknown} is taken without effect");
    }
}

#[test]
fn secrets_belong_into_the_secret_and_everything_else_may_stand_in_the_values() {
    // Where a pod listens and reads its queues is the chart's own.
    let fixed = |name: &str| {
        ["FLOTA_QUEUES_FILE", "FLOTA_API_ADDR"].contains(&name) || name.starts_with("FLOTA_ADMIN_")
    };
    let schema = schema();
    let mut problems = Vec::new();
    for variable in VARIABLES {
        let mut values = values();
        values["env"] = json!({ variable.name: variable.example });
        let is_kept_out = !schema.is_valid(&values);
        if is_kept_out != (variable.is_secret() || fixed(variable.name)) {
            let verb = if is_kept_out { "refuses" } else { "takes" };
            problems.push(format!("the schema {verb} {} in env", variable.name));
        }
    }
    super::assert_none(&problems);
}

#[test]
fn every_queue_is_in_a_group_and_one_group_never_sleeps() {
    let values = values();
    let groups = values["workers"].as_object().expect("groups");
    let worked: Vec<&str> = groups
        .values()
        .flat_map(|group| group["queues"].as_array().expect("queues"))
        .filter_map(Value::as_str)
        .collect();
    let file: toml::Table = read("queues.toml").parse().expect("TOML");
    for queue in file["queues"].as_table().expect("queues").keys() {
        assert!(worked.contains(&queue.as_str()), "no group works on {queue}");
    }
    assert!(groups.values().any(|group| group["replicas"]["min"] != 0));
}

#[test]
fn the_chart_is_of_this_release_and_holds_no_secret() {
    let chart = yaml(&format!("{CHART}/Chart.yaml"));

    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    for path in super::files(&format!("{CHART}/templates"), "yaml") {
        assert!(!read(&path).contains("kind: Secret"), "{path}");
        let text = read(&path);
        assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{path}");
    }
}

#[test]
fn every_pod_is_without_privileges_and_cannot_write_its_image() {
    let helpers = read(&format!("{CHART}/templates/_helpers.tpl"));
    for line in [
        "runAsNonRoot: true",
        "runAsUser: 65532",
        "seccompProfile: { type: RuntimeDefault }",
        "automountServiceAccountToken: false",
        "allowPrivilegeEscalation: false",
        "readOnlyRootFilesystem: true",
        "capabilities: { drop: [ALL] }",
    ] {
        assert!(helpers.contains(line), "{line}");
    }
    for template in ["workers.yaml", "serve.yaml", "migrate.yaml"] {
        let text = read(&format!("{CHART}/templates/{template}"));
        assert!(
            text.contains("include \"flota.pod\"") && text.contains("include \"flota.container\""),
            "{template}"
        );
    }
}

#[test]
fn helm_renders_it_and_refuses_what_cannot_work_together() {
    let Some(helm) = optional_program("helm") else { return };
    run(&helm, &["lint", CHART, "--set", "existingSecret=flota"]);

    let rendered = run(&helm, &["template", "prod", CHART, "--set", "existingSecret=flota"]);

    assert_eq!(rendered.matches("kind: ScaledObject").count(), 2, "{rendered}");
    assert_eq!(rendered.matches("kind: Deployment").count(), 3, "{rendered}");
    for (bad, said) in [
        ("workers.messages.replicas.min=0", "every group may scale to zero"),
        ("workers.messages.replicas.min=11", "min 11 is more than max 10"),
        ("scaling.enabled=false", "0 pods would stay 0"),
        ("serve.replicas=0", "serve.replicas"),
    ] {
        let arguments = ["template", "prod", CHART, "--set", "existingSecret=flota", "--set", bad];
        let output = std::process::Command::new(&helm)
            .args(arguments)
            .current_dir(flota_tests::generated_text::repository())
            .output()
            .expect("helm starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{bad}: {error}");
    }
}
