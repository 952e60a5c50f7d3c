//! What can be wrong between a client and its server.

use std::time::Duration;

/// Which bytes a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer,
    /// Replies.
    ToClient,
    /// Both.
    Both,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// Everything passes.
    #[default]
    None,
    /// Live connections are reset (RST), new ones are accepted and reset.
    Reset,
    /// Live connections are reset, new ones are refused, as when nothing listens.
    Refuse,
    /// Bytes are read and vanish, an end of the stream too: each side believes that the other one is still there.
    /// After healing, a connection that lost something is reset, as by a router that has forgotten it.
    BlackHole {
        /// Which bytes vanish.
        direction: Direction,
    },
    /// Nothing is read any more. Nothing is lost either: after healing everything arrives, however late. This is
    /// what brings the settling of a run that was given up long ago.
    Stall {
        /// Which bytes wait.
        direction: Direction,
    },
    /// A thin line.
    Trickle {
        /// How much passes for each connection and direction; at least 1.
        bytes_per_second: u32,
        /// Which bytes trickle.
        direction: Direction,
    },
    /// A long line: bytes arrive later, and as many in a second as ever.
    Delay {
        /// How much later.
        by: Duration,
        /// Which bytes are late.
        direction: Direction,
    },
    /// A request with the marker is delivered and carried out; then the connection is reset and the client never
    /// sees the reply. Replies to earlier requests that were still under way are lost too.
    CutAfterRequest {
        /// Bytes that tell the request: `EVALSHA`, `COMMIT`.
        marker: Vec<u8>,
        /// How many connections are cut; later ones pass.
        times: usize,
    },
    /// The connection is reset instead of delivering a request with the marker, and whatever came together with it.
    CutBeforeRequest {
        /// Bytes that tell the request.
        marker: Vec<u8>,
        /// How many connections are cut; later ones pass.
        times: usize,
    },
}

impl Fault {
    /// The reply to the next requests with this marker is swallowed, this many times.
    pub fn cut_after(marker: impl AsRef<[u8]>, times: usize) -> Self {
        Self::CutAfterRequest { marker: marker.as_ref().to_vec(), times }
    }

    /// The next requests with this marker are not delivered, this many times.
    pub fn cut_before(marker: impl AsRef<[u8]>, times: usize) -> Self {
        Self::CutBeforeRequest { marker: marker.as_ref().to_vec(), times }
    }

    /// How many cuts it allows.
    pub(super) fn cuts(&self) -> usize {
        match self {
            Self::CutAfterRequest { times, .. } | Self::CutBeforeRequest { times, .. } => *times,
            _ => 0,
        }
    }

    /// What it means for bytes that flow this way; `way` is one of the two single directions.
    pub(super) fn treatment(&self, way: Direction) -> Treatment {
        let concerns = |direction: &Direction| *direction == way || *direction == Direction::Both;
        match self {
            Self::BlackHole { direction } if concerns(direction) => Treatment::Lose,
            Self::Stall { direction } if concerns(direction) => Treatment::Hold,
            Self::Trickle { bytes_per_second, direction } if concerns(direction) => {
                Treatment::Trickle((*bytes_per_second).max(1))
            }
            Self::Delay { by, direction } if concerns(direction) => Treatment::Delay(*by),
            _ => Treatment::Pass,
        }
    }
}

/// What happens to bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    Pass,
    Lose,
    Hold,
    /// Bytes per second.
    Trickle(u32),
    Delay(Duration),
}
