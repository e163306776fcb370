//! The table for programs, RFC 4180: the keys of the first target's record are its columns, and the
//! values stand there as they do in the JSON.

use std::borrow::Cow;
use std::fmt::{self, Formatter};

use csv::{Writer, WriterBuilder};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::record::Text;

/// The columns of a table without targets.
const COLUMNS: &str = "target,label,line,family,state,reason,sent,received,late,lost,loss_ratio,duplicates,damaged,\
    elsewhere,reordered,icmp_errors,send_errors,icmp_type,icmp_code,icmp_name,icmp_from,icmp_mtu,errno,errno_name,ttl,\
    ttl_changes,samples,rtt_error_ratio,rtt_min_ns,rtt_mean_ns,rtt_max_ns,rtt_stddev_ns,rtt_p50_ns,rtt_p90_ns,\
    rtt_p99_ns,jitter_ns,jitter_rfc3550_ns,longest_outage_ns,longest_loss_run\n";

/// A table that grows with each record.
pub struct Table {
    columns: Vec<String>,
    out: Writer<Vec<u8>>,
    /// Keys of later records for which there is no column.
    pub left_out: Vec<String>,
}

impl Default for Table {
    fn default() -> Self {
        Table { columns: Vec::new(), out: WriterBuilder::new().from_writer(Vec::new()), left_out: Vec::new() }
    }
}

impl Table {
    /// Adds the record of a target.
    pub fn add(&mut self, line: &[u8]) -> serde_json::Result<()> {
        let record: Record<'_> = serde_json::from_slice(line)?;
        if self.columns.is_empty() {
            self.columns = record.0.iter().map(|(key, _)| key.clone().into_owned()).collect();
            self.out.write_record(&self.columns).map_err(de::Error::custom)?;
        }
        let mut fields = Vec::with_capacity(self.columns.len());
        for (place, column) in self.columns.iter().enumerate() {
            // Nearly always in its own place.
            let same = record.0.get(place).filter(|(key, _)| key == column);
            let found = same.or_else(|| record.0.iter().find(|(key, _)| key == column));
            fields.push(found.map_or(Ok(Cow::Borrowed("")), |(_, value)| field(value.get()))?);
        }
        for (key, _) in &record.0 {
            if !self.columns.iter().chain(&self.left_out).any(|known| key == known) {
                self.left_out.push(key.clone().into_owned());
            }
        }
        self.out.write_record(fields.iter().map(|field| field.as_bytes())).map_err(de::Error::custom)
    }

    /// The table.
    pub fn finish(self) -> Vec<u8> {
        let empty = self.columns.is_empty();
        let bytes = self.out.into_inner().unwrap_or_default();
        if empty { COLUMNS.as_bytes().to_vec() } else { bytes }
    }
}

/// A value as it stands in a field: strings without quotation marks, nothing for null.
fn field(value: &str) -> serde_json::Result<Cow<'_, str>> {
    match value {
        "null" => Ok(Cow::Borrowed("")),
        _ if value.starts_with('"') => serde_json::from_str::<String>(value).map(Cow::Owned),
        _ => Ok(Cow::Borrowed(value)),
    }
}

/// Keys and values in their order, without the type.
struct Record<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Record<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Record<'de>, M::Error> {
                let mut pairs = Vec::with_capacity(48);
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    if key != "type" {
                        pairs.push((key, value));
                    }
                }
                Ok(Record(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
