//! The one table of every environment variable that the product reads.
//!
//! Reading, `.env.example`, `docs/configuration.md`, `flota config show` and the search for misspelt names all use it.

mod own;
mod providers;

use self::{
    own::{PROCESSES, SERVERS},
    providers::PROVIDERS,
};
use super::variable::Variable;

/// The variable with this name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

const PARTS: [&[Variable]; 3] = [SERVERS, PROVIDERS, PROCESSES];

/// Every variable, group by group.
pub const VARIABLES: &[Variable] = &joined::<{ SERVERS.len() + PROVIDERS.len() + PROCESSES.len() }>();

/// The parts behind each other.
const fn joined<const ALL: usize>() -> [Variable; ALL] {
    let mut all = [SERVERS[0]; ALL];
    let (mut part, mut at, mut row) = (0, 0, 0);
    while row < ALL {
        if at == PARTS[part].len() {
            (part, at) = (part + 1, 0);
        } else {
            all[row] = PARTS[part][at];
            (at, row) = (at + 1, row + 1);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_groups_stand_together() {
        let names: HashSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        let mut groups: Vec<_> = VARIABLES.iter().map(|variable| variable.group).collect();
        groups.dedup();

        assert_eq!(names.len(), VARIABLES.len());
        assert_eq!(groups.len(), groups.iter().collect::<HashSet<_>>().len());
    }
}
