//! Reads the JSON Lines of `xymonping --json`, draws them and converts them.
//!
//! `read` turns input into `run::Run`s, in memory that is bounded whatever the number of probes;
//! each output is a file that turns runs into text and does no IO. A program of its own, so that
//! neither drawing nor writing files comes near the setuid one. Promised to nobody but `main.rs`,
//! the tests and the completions.

pub mod cli;
pub mod csv;
pub mod figures;
pub mod html;
pub mod influx;
pub mod output;
pub mod prometheus;
pub mod read;
pub mod record;
pub mod run;
pub mod scene;
pub mod series;
pub mod svg;
pub mod text;
