//! What people do: cancel, purge, hurry.

use flota_engine::{
    browse::LiveState,
    purge::Purged,
    store::{Cancelled, RunId},
};
use flota_producer::JobId;

use super::{Model, list_of_member};
use crate::scripts::{
    contents::{member_of, unmarked},
    step::{cancelled_record, envelope_of},
};

impl Model {
    pub(in crate::scripts) fn cancel(&mut self, id: JobId, canceller: &str) -> Cancelled {
        let text = id.to_string();
        if !self.contents.jobs.contains_key(&text) {
            return Cancelled::Unknown;
        }
        let marks = self.marks(id);
        if self.contents.running.contains_key(&member_of(RunId { id, run: marks.run + 1 })) {
            self.contents.cancelled.insert(text);
            return Cancelled::Requested;
        }
        let envelope = envelope_of(&self.contents.jobs[&text]);
        self.append(canceller, vec![cancelled_record(id, &envelope, &marks)]);
        self.contents.parked.remove(&text);
        self.contents.delayed.retain(|member, _| unmarked(member) != text);
        self.end(&text, &self.keys.unique_of(&envelope));
        if self.contents.ready.iter().flatten().any(|id| *id == text) {
            self.contents.cancelled.insert(text.clone());
        }
        self.contents.in_line.remove(&text);
        if self.leave(&text) {
            self.ring();
        }
        Cancelled::Now
    }

    /// `parked` are all parked jobs, in the order in which they are taken out.
    pub(in crate::scripts) fn purge(
        &mut self,
        place: LiveState,
        canceller: &str,
        parked: Vec<String>,
    ) -> Purged {
        let mut purged = Purged::default();
        let batches: Vec<Vec<String>> = match place {
            LiveState::Ready => [1, 0, 2].map(|list| std::mem::take(&mut self.contents.ready[list])).to_vec(),
            LiveState::Delayed => {
                let members = std::mem::take(&mut self.contents.delayed);
                vec![members.into_keys().map(|member| unmarked(&member).to_owned()).collect()]
            }
            LiveState::Parked => {
                self.contents.parked.clear();
                vec![parked]
            }
            LiveState::InLine => {
                vec![std::mem::take(&mut self.contents.in_line).into_keys().collect()]
            }
            LiveState::Running => Vec::new(),
        };
        for ids in batches {
            let (mut records, mut woken) = (Vec::new(), false);
            for id in ids {
                self.contents.cancelled.remove(&id);
                let Some(body) = self.contents.jobs.get(&id) else { continue };
                let (envelope, job) = (envelope_of(body), id.parse().unwrap());
                records.push(cancelled_record(job, &envelope, &self.marks(job)));
                self.end(&id, &self.keys.unique_of(&envelope));
                woken |= self.leave(&id);
                purged.cancelled += 1;
            }
            if woken {
                self.ring();
            }
            self.append(canceller, records);
        }
        purged
    }

    pub(in crate::scripts) fn hurry(&mut self, id: JobId) -> bool {
        let text = id.to_string();
        let member = self.contents.delayed.keys().find(|member| unmarked(member) == text).cloned();
        let Some(member) = member else { return false };
        self.contents.delayed.remove(&member);
        self.contents.ready[list_of_member(&member)].push(text);
        self.ring();
        true
    }
}
