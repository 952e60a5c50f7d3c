//! One direction of a connection: reads, treats what it read as the fault in force asks, writes.

use std::{collections::VecDeque, io, net::Shutdown, time::Duration};

use socket2::SockRef;
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Direction, Fault, Shared, fault::Treatment, marker::Marker, tally::add};

/// Largest piece read at once.
const PIECE: usize = 64 * 1024;
/// Bytes that are under way before we stop reading, on a line without delay.
const NEAR: usize = 256 * 1024;
/// The same on a long line, which holds many bytes at once.
const FAR: usize = 32 * 1024 * 1024;
/// How many pieces a second a thin line is cut into.
const TRICKLES_PER_SECOND: u32 = 20;

/// How a flow ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its stream came to its end, and the other side was told.
    Ended,
    /// The connection is to be reset: it lost bytes and is not allowed to live on without them.
    Reset,
    /// A marked request arrived that must not be delivered.
    CutBefore,
    /// A marked request arrived whose reply must not be seen.
    CutAfter {
        /// Bytes of requests that have not been delivered yet.
        undelivered: Vec<u8>,
    },
}

/// Which cut a marker asks for.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Before,
    After,
}

/// One direction of one connection.
pub(super) struct Flow<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    way: Direction,
    shared: &'a Shared,
    faults: watch::Receiver<Fault>,
    treatment: Treatment,
    marker: Option<(Marker, Cut)>,
    under_way: VecDeque<Piece>,
    bytes_under_way: usize,
    /// No more comes from the source.
    ended: bool,
    /// Something vanished, so the stream is of no use any more.
    lost: bool,
    /// When a thin line is free again.
    free: Instant,
}

struct Piece {
    bytes: Vec<u8>,
    written: usize,
    arrived: Instant,
}

impl<'a> Flow<'a> {
    /// `way` is one of the two single directions.
    pub(super) fn new(from: &'a TcpStream, to: &'a TcpStream, way: Direction, shared: &'a Shared) -> Self {
        let mut flow = Self {
            from,
            to,
            way,
            shared,
            faults: shared.fault.subscribe(),
            treatment: Treatment::Pass,
            marker: None,
            under_way: VecDeque::new(),
            bytes_under_way: 0,
            ended: false,
            lost: false,
            free: Instant::now(),
        };
        flow.take_up_fault();
        flow
    }

    /// Runs until the end. Safe to cancel, since every piece that was read is either under way or delivered.
    pub(super) async fn run(mut self) -> io::Result<Outcome> {
        loop {
            if self.lost && self.treatment != Treatment::Lose {
                return Ok(Outcome::Reset);
            }
            if self.ended && self.under_way.is_empty() && self.treatment != Treatment::Lose {
                // The other side may be gone already, which is as good as told.
                let _ = SockRef::from(self.to).shutdown(Shutdown::Write);
                return Ok(Outcome::Ended);
            }
            let (from, to, next_write) = (self.from, self.to, self.next_write());
            let (may_write, may_read) = (self.may_write(), self.may_read());
            tokio::select! {
                biased;
                changed = self.faults.changed() => match changed {
                    Ok(()) => self.take_up_fault(),
                    Err(_) => return Ok(Outcome::Ended),
                },
                () = writable(to, next_write), if may_write => self.write()?,
                readable = from.readable(), if may_read => {
                    readable?;
                    if let Some(cut) = self.read()? {
                        return Ok(cut);
                    }
                }
            }
        }
    }

    fn take_up_fault(&mut self) {
        let fault = self.faults.borrow_and_update();
        self.treatment = fault.treatment(self.way);
        self.marker = match &*fault {
            Fault::CutAfterRequest { marker, .. } if self.way == Direction::ToServer => {
                Some((Marker::new(marker.clone()), Cut::After))
            }
            Fault::CutBeforeRequest { marker, .. } if self.way == Direction::ToServer => {
                Some((Marker::new(marker.clone()), Cut::Before))
            }
            _ => None,
        };
        drop(fault);
        if self.treatment == Treatment::Lose {
            self.lose_what_is_under_way();
        }
    }

    fn may_read(&self) -> bool {
        let room = match self.treatment {
            Treatment::Hold => 0,
            Treatment::Trickle(bytes_per_second) => NEAR.min(bytes_per_second as usize),
            Treatment::Delay(_) => FAR,
            Treatment::Pass | Treatment::Lose => NEAR,
        };
        !self.ended && self.bytes_under_way < room
    }

    fn may_write(&self) -> bool {
        self.treatment != Treatment::Hold && !self.under_way.is_empty()
    }

    /// When the first piece under way may be delivered; `None` for at once.
    fn next_write(&self) -> Option<Instant> {
        match self.treatment {
            Treatment::Delay(by) => self.under_way.front().map(|piece| piece.arrived + by),
            Treatment::Trickle(_) => Some(self.free),
            Treatment::Pass | Treatment::Lose | Treatment::Hold => None,
        }
    }

    /// Reads what is there. Answers a cut if the marker was in it.
    fn read(&mut self) -> io::Result<Option<Outcome>> {
        let mut bytes = vec![0; PIECE];
        let length = match self.from.try_read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // In a black hole nobody hears that the other side has gone, in whatever way it went.
            Err(_) if self.treatment == Treatment::Lose => 0,
            read => read?,
        };
        bytes.truncate(length);
        self.ended = length == 0;
        self.lost |= self.ended && self.treatment == Treatment::Lose;
        if let Some((marker, cut)) = &mut self.marker
            && marker.ends_in(&bytes)
            && self.shared.take_cut()
        {
            return Ok(Some(match cut {
                Cut::Before => Outcome::CutBefore,
                Cut::After => Outcome::CutAfter { undelivered: self.undelivered(&bytes) },
            }));
        }
        if 0 < length {
            self.bytes_under_way += length;
            self.under_way.push_back(Piece { bytes, written: 0, arrived: Instant::now() });
        }
        if self.treatment == Treatment::Lose {
            self.lose_what_is_under_way();
        }
        Ok(None)
    }

    /// Everything that is under way, and these bytes behind it.
    fn undelivered(&self, last: &[u8]) -> Vec<u8> {
        let under_way = self.under_way.iter().flat_map(|piece| &piece.bytes[piece.written..]);
        under_way.chain(last).copied().collect()
    }

    fn lose_what_is_under_way(&mut self) {
        self.lost |= 0 < self.bytes_under_way;
        add(&self.shared.tally.bytes_lost, self.bytes_under_way as u64);
        self.under_way.clear();
        self.bytes_under_way = 0;
    }

    /// Writes as much of the first piece as the line and the other side take.
    fn write(&mut self) -> io::Result<()> {
        let Some(piece) = self.under_way.front_mut() else { return Ok(()) };
        let rest = &piece.bytes[piece.written..];
        let most = match self.treatment {
            Treatment::Trickle(bytes_per_second) => (bytes_per_second / TRICKLES_PER_SECOND).max(1) as usize,
            _ => rest.len(),
        };
        let length = match self.to.try_write(&rest[..rest.len().min(most)]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            written => written?,
        };
        piece.written += length;
        if piece.written == piece.bytes.len() {
            self.under_way.pop_front();
        }
        self.bytes_under_way -= length;
        if let Treatment::Trickle(bytes_per_second) = self.treatment {
            let used = Duration::from_secs_f64(length as f64 / f64::from(bytes_per_second));
            self.free = self.free.max(Instant::now()) + used;
        }
        let delivered = match self.way {
            Direction::ToServer => &self.shared.tally.bytes_to_server,
            Direction::ToClient | Direction::Both => &self.shared.tally.bytes_to_client,
        };
        add(delivered, length as u64);
        Ok(())
    }
}

/// Returns when the stream takes bytes, and not before this moment. An error shows when it is written to.
async fn writable(stream: &TcpStream, not_before: Option<Instant>) {
    if let Some(moment) = not_before {
        sleep_until(moment).await;
    }
    let _ = stream.writable().await;
}
