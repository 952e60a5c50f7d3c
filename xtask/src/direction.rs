//! The direction of the crates: who must not know whom.
//!
//! The compiler stops a crate from using what it does not depend on, so the rules are about dependencies. Only what
//! is built into a crate counts; its tests may use anything.

use crate::program::{cargo, shown};

/// What a crate of this workspace must not depend on, directly or through others.
struct Rule {
    package: &'static str,
    never: Never,
}

enum Never {
    /// No other crate of this workspace.
    OtherMembers,
    /// None of these.
    Packages(&'static [&'static str]),
}

const RULES: [Rule; 3] = [
    // Applications take it into their own build, so it brings nothing of ours along.
    Rule { package: "flota-producer", never: Never::OtherMembers },
    // The queue knows neither Postgres nor HTTP.
    Rule { package: "flota-engine", never: Never::Packages(&["sqlx", "reqwest", "axum"]) },
    // Outside services know neither Redis nor queues.
    Rule { package: "flota-providers", never: Never::Packages(&["redis", "flota-engine", "flota-producer"]) },
];

/// One line of `cargo tree`.
#[derive(Debug, PartialEq, Eq)]
struct Dependency<'a> {
    name: &'a str,
    /// A folder on this machine and not a registry: a crate of this workspace.
    is_member: bool,
}

/// One sentence for each rule that does not hold, or could not be looked at.
pub(crate) fn violations() -> Vec<String> {
    RULES.iter().flat_map(check).collect()
}

fn check(rule: &Rule) -> Vec<String> {
    let mut command = cargo(&["tree", "-p", rule.package, "-e", "normal", "--prefix", "none"]);
    match command.output() {
        Ok(output) if output.status.success() => broken(rule, &String::from_utf8_lossy(&output.stdout)),
        Ok(output) => {
            vec![format!("`{}` failed: {}", shown(&command), String::from_utf8_lossy(&output.stderr).trim())]
        }
        Err(error) => vec![format!("`{}` could not be run: {error}", shown(&command))],
    }
}

fn broken(rule: &Rule, tree: &str) -> Vec<String> {
    let mut found: Vec<&str> = dependencies(tree)
        .filter(|dependency| dependency.name != rule.package)
        .filter(|dependency| match rule.never {
            Never::OtherMembers => dependency.is_member,
            Never::Packages(names) => names.contains(&dependency.name),
        })
        .map(|dependency| dependency.name)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .map(|name| {
            let package = rule.package;
            format!("{package} depends on {name}, which it must not know: `cargo tree -p {package} -e normal -i {name}` shows the way")
        })
        .collect()
}

/// Reads lines such as `name v1.2.3 (/a/folder) (*)`.
fn dependencies(tree: &str) -> impl Iterator<Item = Dependency<'_>> {
    tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        Some(Dependency { name, is_member: words.any(|word| word.starts_with("(/")) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
flota-engine v0.1.0 (/home/me/flota/worker/engine)
flota-producer v0.1.0 (/home/me/flota/producer-lib)
serde v1.0.229
serde_derive v1.0.229 (proc-macro)
reqwest-like v0.1.0
flota-producer v0.1.0 (/home/me/flota/producer-lib) (*)

reqwest v0.13.5
reqwest v0.13.5 (*)
";

    #[test]
    fn crates_of_the_workspace_are_told_from_those_of_a_registry() {
        let members: Vec<&str> =
            dependencies(TREE).filter(|found| found.is_member).map(|found| found.name).collect();

        assert_eq!(members, ["flota-engine", "flota-producer", "flota-producer"]);
    }

    #[test]
    fn a_forbidden_package_is_named_once_and_only_by_its_full_name() {
        let rule = Rule { package: "flota-engine", never: Never::Packages(&["sqlx", "reqwest"]) };

        let sentences = broken(&rule, TREE);

        assert_eq!(sentences.len(), 1, "{sentences:?}");
        assert!(sentences[0].starts_with("flota-engine depends on reqwest, "), "{sentences:?}");
    }

    #[test]
    fn a_crate_may_know_itself_but_no_other_member() {
        let alone = "flota-producer v0.1.0 (/home/me/flota/producer-lib)\nserde v1.0.229\n";
        let rule = Rule { package: "flota-producer", never: Never::OtherMembers };

        assert_eq!(broken(&rule, alone), Vec::<String>::new());
        assert_eq!(broken(&rule, TREE).len(), 1, "the engine is another member");
    }
}
