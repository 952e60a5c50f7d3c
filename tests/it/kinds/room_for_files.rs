//! Files for which there is no room: in memory, where they have to be whole in it, and on the disk, where they are not.

use flota_engine::inspect;
use flota_producer::{WhatsappFile, WhatsappMedia};
use flota_tests::chaos::disk::SmallDisk;
use flota_worker::file_memory::FileMemory;

use super::*;

const MIB: usize = 1024 * 1024;
/// Three mebibytes cost fifteen while they are sent: no two such mails at a time.
const MEMORY: u64 = 16 * MIB as u64;
const ATTACHED: usize = 3 * MIB;
const MAILS: usize = 5;

/// A stage with little memory for files, where runs wait in line for so long.
async fn with_little_memory(patience: Duration) -> Stage {
    let little = |services: &mut Services| services.file_memory = FileMemory::new(MEMORY).patient(patience);
    let stage = Stage::set_and(true, &[], SpeechSettings::built_in(), little).await;
    stage.put("large.pdf", &vec![b'x'; ATTACHED]);
    stage
}

fn mail() -> NewJob {
    let file = EmailAttachment::new(MediaSource::file("large.pdf"), "large.pdf");
    NewJob::new(SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello")).attach(file))
}

/// Every mail takes the provider so long.
fn slow(stage: &Stage, delay: Duration) {
    let slow = Fault { delay_ms: delay.as_millis() as u64, ..Fault::of("sendgrid") };
    stage.sandbox.fault(slow.times(MAILS as u32)).expect("the stage is set");
}

/// When each mail arrived, in Unix ms.
fn arrivals(stage: &Stage) -> Vec<u64> {
    stage.sandbox.journal(Some("sendgrid")).iter().map(|entry| entry.at_unix_ms).collect()
}

#[tokio::test]
async fn mails_whose_files_do_not_fit_into_memory_together_go_out_one_after_the_other() {
    const DELAY: Duration = Duration::from_millis(300);
    let stage = with_little_memory(PATIENCE).await;
    slow(&stage, DELAY);

    let mut ids = Vec::new();
    for _ in 0..MAILS {
        ids.push(stage.enqueue(mail()).await);
    }

    for id in ids {
        stage.queue.witness.wait_for(id, Verdict::Complete).await;
    }
    let arrivals = arrivals(&stage);
    // The sandbox writes down when a mail has come, and answers later.
    let apart = arrivals.windows(2).all(|pair| DELAY.as_millis() as u64 <= pair[1] - pair[0]);
    assert!(arrivals.len() == MAILS && apart, "{arrivals:?}");
    stage.end().await;
}

#[tokio::test]
async fn who_waits_for_memory_in_vain_comes_back_uncharged_and_none_is_lost() {
    let stage = with_little_memory(Duration::from_millis(50)).await;
    slow(&stage, Duration::from_millis(500));

    let mut ids = Vec::new();
    for _ in 0..MAILS {
        ids.push(stage.enqueue(mail()).await);
    }

    for id in &ids {
        stage.queue.witness.wait_for(*id, Verdict::Complete).await;
    }
    let seen = stage.queue.witness.seen();
    let waited =
        |id: &JobId| seen.verdicts[id].iter().any(|(verdict, _)| matches!(verdict, Verdict::Park(_)));
    assert!(ids.iter().any(waited), "nobody waited");
    let records = stage.queue.records().await;
    // One record for each: what only waits leaves none, and is no try.
    assert_eq!(records.iter().map(|(_, record)| record.attempt).collect::<Vec<_>>(), [1; MAILS]);
    assert_eq!(arrivals(&stage).len(), MAILS);
    stage.end().await;
}

#[tokio::test]
async fn a_job_that_is_cancelled_gives_its_memory_back() {
    let stage = with_little_memory(PATIENCE).await;
    stage.sandbox.fault(Fault { delay_ms: 60_000, ..Fault::of("sendgrid") }).unwrap();
    let first = stage.enqueue(mail()).await;
    stage.sandbox.wait_for(Some("sendgrid"), 1, PATIENCE).await.unwrap();

    inspect::cancel(&stage.queue.link, &stage.queue.keys, first, "ana").await.unwrap();
    let second = stage.enqueue(mail()).await;

    stage.queue.witness.wait_for(second, Verdict::Complete).await;
    stage.end().await;
}

#[tokio::test]
async fn pictures_that_cost_more_than_all_there_is_are_read_alone() {
    let stage = with_little_memory(PATIENCE).await;
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
