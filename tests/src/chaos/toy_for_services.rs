//! Toys in worker processes of the chaos suite: the hostile envelopes of `hostile.rs` are toys.
//!
//! They have no ledger here; what a hostile toy may do is succeed.

use flota_engine::{Failure, IfRepeated, Job, Processor, Receipt};
use flota_worker::services::Services;

use crate::toys::{Act, Ledger, Toy};

impl Processor<Services> for Toy {
    const IF_REPEATED: IfRepeated = <Toy as Processor<Ledger>>::IF_REPEATED;

    type Error = Failure;

    async fn run(self, _: &Job, _: &Services) -> Result<Receipt, Failure> {
        if self.acts.iter().all(|act| *act == Act::Succeed) {
            return Ok(Receipt::default());
        }
        Err(Failure::permanent("this toy only succeeds; stories enqueue errands"))
    }
}
