//! Files for which there is no room on the disk.

use flota_producer::{WhatsappFile, WhatsappMedia};
use flota_tests::chaos::disk::SmallDisk;

use super::*;

const MIB: usize = 1024 * 1024;

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
