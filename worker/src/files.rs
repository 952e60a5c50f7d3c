//! Files of jobs: read from the one directory that is allowed, from where a URL leads, from WhatsApp, or from the bucket.
//!
//! A path is opened only after links have been followed and what came out still lies inside the directory. Downloads
//! go through the same address guard as webhooks, because users choose their URLs. However large a file is, it is not in
//! memory: it stays where it is in the directory, and what comes from elsewhere is set aside on the disk.

mod to_whatsapp;

use std::path::{Path, PathBuf};

use flota_engine::Job;
use flota_producer::{Invalid, JobId, MediaSource, clock};
use flota_providers::{
    Receipt,
    content::{Content, FetchError, Gathering, SpoolError},
    whatsapp::media::PROVIDER,
};

pub(crate) use self::to_whatsapp::to_whatsapp;
use crate::{bucket, failure::Error, processors::caller, services::Services};

/// Folder for long results, inside the directory.
const RESULTS: &str = "results";

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, or not inside the directory. One sentence for both, so that nobody can probe the file system.
    #[error("the file {0} is not in the directory of files; put it there, and enqueue the job again")]
    NotThere(String),
    /// It is larger than what it is for.
    #[error("the file {path} is larger than {most} bytes; make it smaller")]
    TooLarge {
        /// The path in the job.
        path: String,
        /// The limit.
        most: usize,
    },
    /// It is no key of the bucket.
    #[error("{0}")]
    NoKey(#[from] Invalid),
    /// It is another tenant's.
    #[error(
        "the stored file {0} does not belong to the job's tenant, so it is not read; name a file whose key begins with \
         the tenant of the job"
    )]
    Foreign(String),
    /// WhatsApp does not take such a file.
    #[error(
        "the stored file {key} has the media type {media_type}, which WhatsApp does not take as {media}; store it with the \
         right one (`flota storage put --as`)"
    )]
    NotTaken {
        /// Its key.
        key: String,
        /// What it was stored as.
        media_type: String,
        /// What it was to be.
        media: &'static str,
    },
    /// The disk did not do it.
    #[error("the directory of files cannot be used")]
    Disk(#[source] std::io::Error),
    /// The disk has no room for it while the job works with it.
    #[error("{0}; the job waits. Make room there, or let FLOTA_SPOOL_DIR name a directory that has some")]
    Spool(#[from] SpoolError),
}

/// The directory that jobs may read from.
#[derive(Debug, Clone)]
pub struct Files {
    directory: PathBuf,
}

impl Files {
    /// A directory whose real path this is.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The content of a file of at most so many bytes. It is read from where it is, and should stay as it is meanwhile.
    ///
    /// # Errors
    /// See [`FileError`].
    pub async fn open(&self, path: &str, most_bytes: usize) -> Result<Content, FileError> {
        let not_there = || FileError::NotThere(path.to_owned());
        let real = tokio::fs::canonicalize(self.directory.join(path)).await.map_err(|_| not_there())?;
        if !real.starts_with(&self.directory) {
            return Err(not_there());
        }
        let file = tokio::fs::File::open(&real).await.map_err(|_| not_there())?;
        if !file.metadata().await.map_err(FileError::Disk)?.is_file() {
            return Err(not_there());
        }
        let content = Content::of_file(file.into_std().await).map_err(FileError::Disk)?;
        if (most_bytes as u64) < content.length() {
            return Err(FileError::TooLarge { path: path.to_owned(), most: most_bytes });
        }
        Ok(content)
    }

    /// Writes a result, a JSON document, and answers its path inside the directory. The name is the job's id, so a repeat replaces it.
    pub(crate) async fn keep(&self, id: JobId, result: &[u8]) -> Result<String, FileError> {
        let name = Path::new(RESULTS).join(format!("{id}.json"));
        let place = self.directory.join(&name);
        tokio::fs::create_dir_all(self.directory.join(RESULTS)).await.map_err(FileError::Disk)?;
        let draft = place.with_extension("part");
        tokio::fs::write(&draft, result).await.map_err(FileError::Disk)?;
        tokio::fs::rename(&draft, &place).await.map_err(FileError::Disk)?;
        Ok(name.display().to_string())
    }
}

/// The content of a job's file, wherever it lies. `file` says how much of it there may be, and where that is gathered.
pub(crate) async fn fetch(
    source: &MediaSource,
    file: Gathering,
    job: &Job,
    services: &Services,
) -> Result<Content, Error> {
    let now = clock::unix_now().as_secs() as i64;
    match (&source.url, &source.whatsapp, &source.storage, &source.file) {
        (Some(url), ..) => {
            let fetched = services.downloads.client_for(url).download(url, file, now).await;
            Ok(FetchError::apart(fetched)?.map_err(FileError::Spool)?)
        }
        (_, Some(id), ..) => from_whatsapp(id, file, job, services).await,
        (_, _, Some(key), _) => Ok(bucket::fetch(key, file, job, services).await?.content),
        (_, _, _, path) => local(path.as_deref().unwrap_or_default(), file.most_bytes(), services).await,
    }
}

async fn local(path: &str, most_bytes: usize, services: &Services) -> Result<Content, Error> {
    let missing = Error::NotConfigured { what: "The directory of files", variable: "FLOTA_FILES_DIR" };
    Ok(services.files.as_ref().ok_or(missing)?.open(path, most_bytes).await?)
}

async fn from_whatsapp(id: &str, file: Gathering, job: &Job, services: &Services) -> Result<Content, Error> {
    let client = services.whatsapp_media.as_ref().ok_or(NO_WHATSAPP)?;
    let mut content = Ok(Content::default());
    let found = &mut content;
    let download = client.call(caller(job), |client| async move {
        let downloaded = FetchError::apart(client.download(id, file).await)?;
        *found = downloaded.map(|downloaded| downloaded.content);
        Ok(Receipt { provider: PROVIDER, provider_ref: Some(id.to_owned()), detail: None })
    });
    download.await?;
    Ok(content.map_err(FileError::Spool)?)
}

const NO_WHATSAPP: Error = crate::service_settings::WHATSAPP.missing();

#[cfg(test)]
mod tests {
    use flota_engine::{Failure, Remedy};

    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().canonicalize().unwrap().join("files");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("note.ogg"), b"OggS").unwrap();
        std::fs::write(directory.path().join("secret"), b"secret").unwrap();
        (directory, Files::new(inside))
    }

    #[tokio::test]
    async fn only_files_inside_the_directory_are_read_and_links_do_not_lead_out() {
        let (outside, files) = files();
        std::os::unix::fs::symlink(outside.path().join("secret"), files.directory.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), files.directory.join("folder")).unwrap();

        assert_eq!(files.open("note.ogg", 4).await.unwrap().whole().await.unwrap(), b"OggS"[..]);
        for path in ["../secret", "link", "folder/secret", "/etc/hostname", "missing", ".", "a\0b"] {
            let error = files.open(path, 100).await.unwrap_err();
            assert!(matches!(error, FileError::NotThere(_)), "{path}: {error}");
        }
        assert!(matches!(files.open("note.ogg", 3).await, Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn what_the_disk_has_no_room_for_waits_and_says_where_and_what_to_do() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let spool = SpoolError { directory: "/spool".into(), source: full };

        let failure = Failure::from(Error::File(FileError::Spool(spool)));

        assert!(matches!(failure.remedy, Remedy::Park { after: Some(_) }), "{failure:?}");
        assert_eq!(failure.code.as_deref(), Some("spool"));
        for told in ["/spool", "no room", "FLOTA_SPOOL_DIR"] {
            assert!(failure.message.contains(told), "{}", failure.message);
        }
    }
}
