//! The Spanish pages of integrations hold to the directive's template, the inventory knows them all, and both agree with
//! the variables that the code reads.

mod page;

use std::{collections::BTreeSet, fs};

use flota_tests::generated_text::repository;
use flota_worker::config::env::VARIABLES;
use serde::Deserialize;

use self::page::Page;

/// Where the pages are.
const FOLDER: &str = "docs/02-integraciones";
/// The variables that each page has to name: the groups of the table of variables that are its own.
const GROUPS: [(&str, &[&str]); 9] = [
    ("INT-002", &["E-mail"]),
    ("INT-003", &["Push notifications"]),
    ("INT-004", &["WhatsApp"]),
    ("INT-005", &["Storage"]),
    ("INT-007", &["Language models"]),
    ("INT-008", &["Transcription"]),
    ("INT-009", &["Pictures"]),
    ("INT-010", &["Webhooks"]),
    ("INT-011", &["SMS"]),
];

/// `docs/MASTER_INVENTORY.yml`, after section 10.1 of the directive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    integraciones: Vec<Integration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Integration {
    id: String,
    nombre: String,
    proveedor: String,
    tipo: String,
    estado: State,
    #[expect(dead_code, reason = "its presence and form are what is checked")]
    multi_tenant: bool,
    documentacion: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum State {
    Activo,
    EnDesarrollo,
    Planificado,
}

fn inventory() -> Vec<Integration> {
    let text = fs::read_to_string(repository().join("docs/MASTER_INVENTORY.yml")).expect("the inventory");
    serde_saphyr::from_str::<Inventory>(&text).expect("the inventory is YAML of its form").integraciones
}

/// Every page, by the id at the start of its name.
fn pages() -> Vec<Page> {
    let Ok(files) = fs::read_dir(repository().join(FOLDER)) else { return Vec::new() };
    let mut names: Vec<String> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
    names.sort_unstable();
    names.retain(|name| name.starts_with("INT-"));
    names.iter().map(|name| Page::read(&repository().join(FOLDER).join(name))).collect()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_inventory_lists_the_catalogue_and_every_page() {
    let inventory = inventory();
    let ids: Vec<String> = inventory.iter().map(|one| one.id.clone()).collect();

    let expected: Vec<String> = (1..=11).map(|number| format!("INT-{number:03}")).collect();
    assert_eq!(ids, expected);
    let mut problems = Vec::new();
    for one in &inventory {
        let exists = repository().join(&one.documentacion).is_file();
        if one.estado == State::Activo && !exists {
            problems.push(format!("{}: it is activo, but {} is missing", one.id, one.documentacion));
        }
        for (field, text) in [("nombre", &one.nombre), ("proveedor", &one.proveedor), ("tipo", &one.tipo)] {
            if text.trim().is_empty() {
                problems.push(format!("{}: {field} is empty", one.id));
            }
        }
    }
    for page in pages() {
        let entry = inventory.iter().find(|one| one.id == page.id);
        let place = format!("{FOLDER}/{}", page.name);
        match entry {
            Some(entry) if entry.documentacion == place && entry.estado == State::Activo => {}
            Some(entry) => problems.push(format!(
                "{place}: the inventory has {} for {}, not activo or under another name",
                entry.documentacion, page.id
            )),
            None => problems.push(format!("{place}: the inventory does not list {}", page.id)),
        }
    }
    assert_none(&problems);
}

#[test]
fn every_page_has_the_sections_and_columns_of_the_template() {
    assert_none(&pages().iter().flat_map(Page::problems).collect::<Vec<_>>());
}

#[test]
fn a_page_names_every_variable_of_its_own_and_none_that_nothing_reads() {
    let known: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    let mut problems = Vec::new();
    for page in pages() {
        let named = page.variables();
        let groups = GROUPS.iter().find(|(id, _)| *id == page.id).map_or(&[][..], |(_, groups)| groups);
        let own = VARIABLES
            .iter()
            .filter(|variable| groups.iter().any(|group| variable.group.starts_with(group)))
            .map(|variable| variable.name);
        let missing = own.filter(|name| !named.contains(*name));
        problems.extend(missing.map(|name| format!("{}: it does not name {name}", page.name)));
        let unread = named.iter().filter(|name| !known.contains(name.as_str()));
        problems.extend(unread.map(|name| format!("{}: nothing reads {name}", page.name)));
    }
    assert_none(&problems);
}

#[test]
fn every_group_of_a_page_exists() {
    for (id, groups) in GROUPS {
        for group in groups {
            let exists = VARIABLES.iter().any(|variable| variable.group.starts_with(group));
            assert!(exists, "{id}: there are no variables of {group}");
        }
    }
}
