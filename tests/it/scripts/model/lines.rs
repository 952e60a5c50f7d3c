//! Lines of jobs in order: who leaves one, and who goes on then.

use super::{Model, list_of_member};

impl Model {
    /// A job that has ended leaves its line. True when another became ready.
    pub(super) fn leave(&mut self, id: &str) -> bool {
        let line = self.contents.lines.iter().find(|(_, ids)| ids.iter().any(|other| other == id));
        let Some(key) = line.map(|(key, _)| key.clone()) else { return false };
        self.contents.lines.get_mut(&key).unwrap().retain(|other| other != id);
        self.goes_on(&key)
    }

    /// The first of a line who is alive becomes ready if it waits there.
    pub(super) fn goes_on(&mut self, key: &str) -> bool {
        let Some(line) = self.contents.lines.get_mut(key) else { return false };
        line.retain(|id| self.contents.jobs.contains_key(id));
        let Some(first) = line.first() else {
            self.contents.lines.remove(key);
            return false;
        };
        let Some(mark) = self.contents.in_line.remove(first) else { return false };
        self.contents.ready[list_of_member(&mark)].push(first.clone());
        true
    }
}
