pub mod error;
pub mod plan;
pub mod prober;
pub mod report;
pub mod tally;
pub mod targets;
pub mod token;
pub mod wire;
