//! Files for which there is no room: in memory, where they have to be whole in it, and on the disk, where they are not.

use flota_producer::{WhatsappFile, WhatsappMedia};
use flota_tests::chaos::disk::SmallDisk;
use flota_worker::file_memory::FileMemory;

use super::*;

const MIB: usize = 1024 * 1024;
const MEMORY: u64 = 16 * MIB as u64;

/// A stage with little memory for files.
async fn with_little_memory() -> Stage {
    let little = |services: &mut Services| services.file_memory = FileMemory::new(MEMORY);
    Stage::set_and(true, &[], SpeechSettings::built_in(), little).await
}

#[tokio::test]
async fn pictures_that_cost_more_than_all_there_is_are_read_alone() {
    let stage = with_little_memory().await;
    // A picture and what nobody looks at behind it.
    let heavy = [WHITE, &vec![0; 5 * MIB]].concat();
    stage.put("heavy.gif", &heavy);
    let jobs = [(); 3].map(|()| NewJob::new(ReadImage::new(MediaSource::file("heavy.gif"))));

    for job in jobs {
        assert_eq!(stage.complete(job).await["text"], "TOTAL 42.00");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_file_for_which_the_disk_has_no_room_waits_until_there_is_some_and_leaves_nothing_behind() {
    let disk = match SmallDisk::mount(8) {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("left out: {reason}"),
    };
    let place = disk.path().display().to_string();
    let stage = Stage::set_with(true, &[("FLOTA_SPOOL_DIR", &place)]).await;
    let put = crate::storage::client_of(&stage.sandbox);
    let key = flota_producer::StorageKey::mint(None).unwrap().to_string();
    put.put_bytes(&key, "application/pdf", vec![b'x'; 5 * MIB].into()).await.unwrap();
    let file = WhatsappFile::new(WhatsappMedia::Document, MediaSource::storage(&key));
    let job = NewJob::new(SendWhatsapp::new(NUMBER, WhatsappBody::File(file)));
    let before = disk.fill().unwrap();

    let id = stage.enqueue(job.clone()).await;
    let parked = |seen: &Seen| matches!(seen.last(id), Some(Verdict::Park(_)));
    stage.queue.witness.wait_until("there is no room", parked).await;

    assert_eq!(stage.calls("whatsapp"), 0);
    disk.free().unwrap();
    assert_eq!(disk.fill().unwrap(), before, "something was left behind");
    disk.free().unwrap();
    stage.complete(job).await;
    assert!(stage.queue.records().await.iter().all(|(_, record)| record.id != id), "it was charged");
    stage.end().await;
}
