//! One test binary, a file per story.

mod enqueue;
mod faults;
mod run;
