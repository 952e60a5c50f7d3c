//! Makes effects durable, many at a time.
//!
//! One thread writes. What arrives while it waits for the disk is written together with the next wait, so each effect
//! is on disk before its requester hears of it and the disk is asked a few hundred times a second at most.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use tokio::sync::oneshot;

use super::effect::Effect;
use crate::chaos::monotonic::now_ns;

/// Most effects that wait for one sync.
const BATCH: usize = 4_096;

/// Where effects are handed in. The thread ends when this is dropped.
pub(super) struct Ledger {
    entries: mpsc::Sender<Entry>,
}

struct Entry {
    effect: Effect,
    written: oneshot::Sender<Result<(), Arc<io::Error>>>,
}

impl Ledger {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (entries, arriving) = mpsc::channel();
        thread::Builder::new().name("ledger".into()).spawn(move || write(file, &arriving))?;
        Ok(Self { entries })
    }

    /// Returns when the effect is on disk. It gets there even if the caller does not wait.
    pub(super) async fn append(&self, effect: Effect) -> Result<(), Arc<io::Error>> {
        let (written, answer) = oneshot::channel();
        let gone = || Arc::new(io::Error::other("the thread that writes the ledger has ended"));
        self.entries.send(Entry { effect, written }).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn write(mut file: File, arriving: &mpsc::Receiver<Entry>) {
    while let Ok(first) = arriving.recv() {
        let batch: Vec<Entry> = std::iter::once(first).chain(arriving.try_iter().take(BATCH - 1)).collect();
        let (effects, waiting): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|entry| (entry.effect, entry.written)).unzip();
        let outcome = append(&mut file, effects).map_err(Arc::new);
        for written in waiting {
            // Whoever gave up waiting has acted nonetheless.
            let _ = written.send(outcome.clone());
        }
    }
}

fn append(file: &mut File, effects: Vec<Effect>) -> io::Result<()> {
    let mut lines = Vec::new();
    for effect in effects {
        serde_json::to_writer(&mut lines, &Effect { ns: now_ns(), ..effect })?;
        lines.push(b'\n');
    }
    file.write_all(&lines)?;
    file.sync_data()
}
