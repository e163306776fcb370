//! Tests of `--json`: every record is valid, and true.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod lab;

#[path = "json/batch.rs"]
mod batch;
#[path = "json/packets.rs"]
mod packets;
#[path = "json/schema.rs"]
mod schema;
#[path = "json/statistics.rs"]
mod statistics;
#[path = "json/tools.rs"]
mod tools;

use serde_json::Value;

use lab::Finished;
use schema::Schema;

/// The records of a run, each of which is valid and pure ASCII.
fn records(outcome: &Finished) -> Vec<Value> {
    let schema = Schema::load();
    assert!(outcome.stdout.is_ascii() && outcome.stdout.ends_with('\n'), "{outcome:?}");
    let records: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.iter().for_each(|record| schema.check(record));
    records
}

/// The records of this type, in their order.
fn of_type<'a>(records: &'a [Value], record_type: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["type"] == record_type).collect()
}

/// The values of these keys.
fn values<const N: usize>(record: &Value, keys: [&str; N]) -> [Value; N] {
    keys.map(|key| record[key].clone())
}
