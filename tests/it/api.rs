//! The HTTP API from outside, one file per story.

mod access;
mod bad_input;
mod bulk;
mod examples;
mod jobs;
mod letters;
mod outages;
mod queues;
mod tokens;
