//! One process listens where another asks.

use super::{files, read, yaml};

#[test]
fn prometheus_asks_where_compose_listens() {
    let compose = yaml("deploy/compose.yaml");
    let scraped = yaml("deploy/prometheus/prometheus.yaml");
    let command = |service: &str| compose["services"][service]["command"].to_string();

    assert!(command("serve").contains("0.0.0.0:9090"), "{}", command("serve"));
    assert_eq!(scraped["scrape_configs"][0]["static_configs"][0]["targets"][0], "serve:9090");
    assert!(command("worker").contains("0.0.0.0:9464"), "{}", command("worker"));
    assert_eq!(scraped["scrape_configs"][1]["dns_sd_configs"][0]["port"], 9464);
}

#[test]
fn compose_publishes_to_this_machine_alone() {
    let compose = yaml("deploy/compose.yaml");
    for (name, service) in compose["services"].as_object().expect("services") {
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().expect("a text");
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port} to every network");
        }
    }
}

#[test]
fn the_chart_asks_where_it_listens() {
    let templates = |name: &str| read(&format!("deploy/helm/flota/templates/{name}"));
    let (workers, serve) = (templates("workers.yaml"), templates("serve.yaml"));

    for (template, port) in [(&workers, "9464"), (&serve, "9090")] {
        assert!(template.contains(&format!("0.0.0.0:{port}")), "{port}");
        assert!(template.contains(&format!("{{ name: admin, containerPort: {port} }}")), "{port}");
        assert!(template.contains(&format!("prometheus.io/port: \"{port}\"")), "{port}");
        assert!(
            templates("networkpolicy.yaml").contains(&format!("{{ port: {port}, protocol: TCP }}")),
            "{port}"
        );
    }
    assert!(serve.contains("{ name: admin, port: 9090, targetPort: admin }"));
    assert!(workers.contains("-serve.{{ $.Release.Namespace }}.svc:9090/api/v1/queues/{{ . }}/scaling"));
    let probes = templates("_helpers.tpl");
    for page in ["/livez", "/readyz", "/startupz"] {
        assert!(probes.contains(&format!("httpGet: {{ path: {page}, port: admin }}")), "{page}");
    }
}

#[test]
fn whoever_drains_is_given_more_time_than_it_drains() {
    let compose = yaml("deploy/compose.yaml");
    let worker = &compose["services"]["worker"];
    assert!(worker["command"].to_string().contains("\"--drain-timeout\",\"25s\""));
    assert_eq!(worker["stop_grace_period"], "30s");
    assert!(
        read("deploy/helm/flota/templates/workers.yaml")
            .contains("terminationGracePeriodSeconds: {{ add $worker.drainSeconds 5 }}")
    );
    let unit = read("deploy/systemd/flota-worker@.service");
    assert!(unit.contains("--drain-timeout 25s") && unit.contains("TimeoutStopSec=35s"));
    assert_eq!(files("deploy/systemd", "service").len(), 2);
}
