//! One page, held to the template of section 3.2 of the directive.

use std::{collections::BTreeSet, fs, path::Path};

/// The headings, in order, each with the columns of its table if it has one.
const TEMPLATE: [(&str, &str); 14] = [
    ("## Metadata", "Campo|Valor"),
    ("## Descripcion", ""),
    ("## Credenciales Requeridas", "Variable de Entorno|Descripcion|Obligatorio"),
    ("## Endpoints/SDK Utilizados", "Operacion|Endpoint/Metodo|Descripcion"),
    ("## Rate Limits", "Limite|Valor|Accion si excede"),
    ("## Manejo de Errores", "Codigo|Descripcion|Accion"),
    ("## Fallbacks", ""),
    ("## Multi-tenant", ""),
    ("## Webhooks (si aplica)", "Evento|Endpoint|Descripcion"),
    ("## Testing", ""),
    ("### Sandbox/Test Mode", ""),
    ("### Comandos de Test", ""),
    ("## Monitoreo", "Metrica|Descripcion|Alerta"),
    ("## Referencias", ""),
];
/// The fields of the first table, in order.
const METADATA: [&str; 6] = ["Codigo", "Proveedor", "Tipo", "Estado", "Multi-tenant", "Fecha integracion"];
/// What is always watched.
const WATCHED: [&str; 3] = ["Latencia", "Errores", "Rate limit"];

/// A page of `docs/02-integraciones`.
pub(super) struct Page {
    /// Its file's name.
    pub(super) name: String,
    /// `INT-002`.
    pub(super) id: String,
    text: String,
}

impl Page {
    pub(super) fn read(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let id = name.chars().take("INT-000".len()).collect();
        Self { name, id, text: fs::read_to_string(path).expect("a page") }
    }

    /// Everything that the template has otherwise.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.text.starts_with(&format!("# {}: ", self.id)) {
            problems.push(format!("it does not begin with `# {}: `", self.id));
        }
        problems.extend(self.wrong_headings());
        for (heading, columns) in TEMPLATE.iter().filter(|(_, columns)| !columns.is_empty()) {
            match self.table(heading).first() {
                Some(header) if header.join("|") == *columns => {}
                Some(header) => problems.push(format!("{heading} has the columns {}", header.join("|"))),
                None => problems.push(format!("{heading} has no table {columns}")),
            }
        }
        problems.extend(self.wrong_metadata());
        let watched = self.first_column("## Monitoreo");
        problems.extend(
            WATCHED
                .iter()
                .filter(|metric| !watched.iter().any(|one| one == *metric))
                .map(|metric| format!("## Monitoreo lacks {metric}")),
        );
        let last =
            self.text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().replace('*', "");
        if !last.strip_prefix("Ultima actualizacion: ").is_some_and(is_date) {
            problems.push("it does not end with `Ultima actualizacion: YYYY-MM-DD`".to_owned());
        }
        problems.into_iter().map(|problem| format!("{}: {problem}", self.name)).collect()
    }

    /// The variables in the table of credentials.
    pub(super) fn variables(&self) -> BTreeSet<String> {
        self.first_column("## Credenciales Requeridas")
            .into_iter()
            .map(|name| name.replace('`', ""))
            .collect()
    }

    /// The headings of the template must be there in its order; a page may have more of the third level.
    fn wrong_headings(&self) -> Option<String> {
        let is_known =
            |line: &&str| line.starts_with("## ") || TEMPLATE.iter().any(|(known, _)| known == line);
        let found: Vec<&str> = self.outside_code().filter(is_known).collect();
        let expected: Vec<&str> = TEMPLATE.iter().map(|(heading, _)| *heading).collect();
        (found != expected).then(|| format!("its headings are {found:?}, not {expected:?}"))
    }

    fn wrong_metadata(&self) -> Vec<String> {
        let rows = self.table("## Metadata");
        let rows = rows.get(1..).unwrap_or_default();
        let value = |field: &str| {
            rows.iter().find(|row| row[0] == field).and_then(|row| row.get(1)).map_or("", String::as_str)
        };
        let mut problems = Vec::new();
        let fields: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        if fields != METADATA {
            problems.push(format!("## Metadata has the fields {fields:?}"));
        }
        if value("Codigo") != self.id {
            problems.push(format!("its Codigo is {}", value("Codigo")));
        }
        if !["Implementado", "Documentado", "Pendiente"].contains(&value("Estado")) {
            problems.push(format!("its Estado is {}", value("Estado")));
        }
        if !["Si", "No"].contains(&value("Multi-tenant")) {
            problems.push(format!("its Multi-tenant is {}", value("Multi-tenant")));
        }
        if !is_date(value("Fecha integracion")) {
            problems.push(format!("its Fecha integracion is {}", value("Fecha integracion")));
        }
        problems
    }

    /// The lines that are not in a block of code.
    fn outside_code(&self) -> impl Iterator<Item = &str> {
        let mut inside = false;
        self.text.lines().filter(move |line| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
    }

    /// The table with the columns of the template behind a heading, or else the first one there: header and rows.
    fn table(&self, heading: &str) -> Vec<Vec<String>> {
        let columns = TEMPLATE.iter().find(|(known, _)| *known == heading).map_or("", |(_, columns)| columns);
        let behind = self.outside_code().skip_while(|line| *line != heading).skip(1);
        let section = behind.take_while(|line| !line.starts_with("## "));
        let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
        let mut open = false;
        for line in section {
            if !line.starts_with('|') {
                open = false;
                continue;
            }
            if !open {
                tables.push(Vec::new());
                open = true;
            }
            let rule = line.chars().all(|letter| matches!(letter, '|' | '-' | ':' | ' '));
            if let (false, Some(table)) = (rule, tables.last_mut()) {
                table.push(cells(line));
            }
        }
        let wanted =
            tables.iter().position(|table| table.first().is_some_and(|row| row.join("|") == columns));
        if tables.is_empty() { Vec::new() } else { tables.swap_remove(wanted.unwrap_or(0)) }
    }

    fn first_column(&self, heading: &str) -> Vec<String> {
        self.table(heading).into_iter().skip(1).filter_map(|row| row.into_iter().next()).collect()
    }
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn is_date(text: &str) -> bool {
    chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

#[test]
fn what_a_page_lacks_is_told() {
    let page = Page {
        name: "INT-001-x.md".to_owned(),
        id: "INT-001".to_owned(),
        text: "# INT-001: X\n## Metadata\n| Campo | Value |\n|---|---|\n## Monitoreo\n".to_owned(),
    };

    let told = page.problems().join("\n");

    for problem in [
        "INT-001-x.md: its headings are",
        "## Metadata has the columns Campo|Value",
        "## Credenciales Requeridas has no table Variable de Entorno|Descripcion|Obligatorio",
        "its Estado is ",
        "## Monitoreo lacks Latencia",
        "it does not end with",
    ] {
        assert!(told.contains(problem), "{problem} is not in\n{told}");
    }
}
