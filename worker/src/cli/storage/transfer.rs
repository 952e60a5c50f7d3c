//! Moves one file up or down, with a bar on a terminal. Ctrl-C takes back what had been sent.
//!
//! A file that comes down has another name until it is whole.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use flota_producer::{StorageKey, WhatsappMedia};
use flota_providers::{
    email::Attachment,
    storage::{StorageClient, StoredStream, TransferError},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::{Global, stop};
use crate::{
    exit::{Done, Exit, Stop},
    shutdown::Shutdown,
};

const STANDARD: &str = "-";

pub(super) async fn put(
    global: &Global,
    client: &StorageClient,
    key: &StorageKey,
    file: &Path,
    media_type: Option<String>,
) -> Done {
    let shutdown = Shutdown::on_signals()?;
    let media_type = media_type.unwrap_or_else(|| media_type_of(file));
    let key = key.to_string();
    let is_standard = file == Path::new(STANDARD);
    let mut input = is_standard.then(|| stream_of(&io::stdin())).transpose()?;
    let bar = bar(std::fs::metadata(file).ok().map(|file| file.len()));
    let progress = |bytes| bar.inc(bytes);
    let ended = {
        let put = async {
            match &mut input {
                Some(input) => client.put_stream(&key, &media_type, input, progress).await,
                None => client.put_file(&key, &media_type, file, progress).await,
            }
        };
        tokio::select! {
            ended = put => Some(ended),
            () = shutdown.stop.cancelled() => None,
        }
    };
    bar.finish_and_clear();
    // What was given up is taken back before the program ends.
    client.settle().await;
    let Some(ended) = ended else {
        return Err(Stop::new(Exit::Failed, "stopped; what had been sent was taken back"));
    };
    ended.map_err(|error| {
        if error.code.as_deref() == Some("read") { unreadable(file, error) } else { stop(error) }
    })?;
    let document =
        json!({ "key": key, "bucket": client.bucket(), "bytes": bar.position(), "media_type": media_type });
    global.output.one(&document, &key, || key.clone())?;
    Ok(Exit::Ok)
}

pub(super) async fn get(
    global: &Global,
    client: &StorageClient,
    key: &StorageKey,
    file: Option<PathBuf>,
) -> Done {
    if file.is_none() && io::stdout().is_terminal() {
        return Err(Stop::usage(
            "a terminal is no place for a file: name one, or write - if you want it here",
        ));
    }
    let name = key.to_string();
    let stored = client.open(&name).await.map_err(stop)?;
    let media_type = stored.media_type.clone();
    let bar = bar(stored.length);
    let file = file.filter(|file| file != Path::new(STANDARD));
    let written = match &file {
        None => to_standard_output(stored, &bar).await,
        Some(file) => to_file(stored, file, &bar).await,
    };
    bar.finish_and_clear();
    let bytes = written.map_err(|error| match error {
        TransferError::Storage(error) => stop(error),
        error @ TransferError::Write(_) => Stop { exit: Exit::Failed, error: error.into() },
    })?;
    if let Some(file) = file {
        let shown = file.display().to_string();
        let document = json!({ "key": name, "file": shown, "bytes": bytes, "media_type": media_type });
        global.output.one(&document, &shown, || format!("{shown}: {bytes} bytes"))?;
    }
    Ok(Exit::Ok)
}

async fn to_standard_output(stored: StoredStream, bar: &ProgressBar) -> Result<u64, TransferError> {
    let mut sink = stream_of(&io::stdout()).map_err(TransferError::Write)?;
    stored.write_to(&mut sink, |bytes| bar.inc(bytes)).await
}

/// Standard input or output as a stream of its own.
fn stream_of(standard: &impl AsFd) -> io::Result<tokio::fs::File> {
    let own = standard.as_fd().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(std::fs::File::from(own)))
}

/// Writes beside the file and gives it its name at the end, so that half a file is never taken for a whole one.
async fn to_file(stored: StoredStream, file: &Path, bar: &ProgressBar) -> Result<u64, TransferError> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It is removed when it is dropped before it has its name, also when the program is told to stop.
    let draft = tempfile::NamedTempFile::new_in(directory).map_err(TransferError::Write)?;
    let mut sink = tokio::fs::File::from_std(draft.reopen().map_err(TransferError::Write)?);
    let shutdown = Shutdown::on_signals().map_err(TransferError::Write)?;
    let written = tokio::select! {
        written = stored.write_to(&mut sink, |bytes| bar.inc(bytes)) => written?,
        () = shutdown.stop.cancelled() => {
            return Err(TransferError::Write(io::Error::new(io::ErrorKind::Interrupted, "it was stopped")));
        }
    };
    sink.sync_all().await.map_err(TransferError::Write)?;
    draft.persist(file).map_err(|error| TransferError::Write(error.error))?;
    Ok(written)
}

fn bar(length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(
        "{bar:30} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// By the ending of the name: what WhatsApp has a name for, or what is usual in mails.
fn media_type_of(file: &Path) -> String {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let kinds = [
        WhatsappMedia::Image,
        WhatsappMedia::Audio,
        WhatsappMedia::Video,
        WhatsappMedia::Document,
        WhatsappMedia::Sticker,
    ];
    let is_wave = name.to_ascii_lowercase().ends_with(".wav").then(|| "audio/wav".to_owned());
    let known = kinds.iter().find_map(|kind| kind.media_type(name)).map(str::to_owned).or(is_wave);
    known.unwrap_or_else(|| Attachment { name: name.to_owned(), ..Attachment::default() }.content_type())
}

fn unreadable(file: &Path, error: flota_providers::ProviderError) -> Stop {
    let missing = !file.exists();
    let error = anyhow::Error::new(error).context(format!("{} cannot be stored", file.display()));
    Stop { exit: if missing { Exit::NotFound } else { Exit::Failed }, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_that_of_the_ending() {
        for (name, expected) in [
            ("a/NOTE.OGG", "audio/ogg"),
            ("photo.jpg", "image/jpeg"),
            ("s.wav", "audio/wav"),
            ("list.csv", "text/csv"),
            ("-", "application/octet-stream"),
            ("dump.unknown", "application/octet-stream"),
        ] {
            assert_eq!(media_type_of(Path::new(name)), expected, "{name}");
        }
    }
}
