//! Metrics of pings for Prometheus: `cargo run --example exporter -- 127.0.0.1:9427 targets.txt`.
//! The file has one name or address a line, and is read again when it changes. Names of metrics and
//! bounds of buckets are those of `xymonping-report --prometheus`.

#![expect(clippy::print_stdout, reason = "it is what an example does")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{env, fs, thread};

use multiping::{Config, Event, Pinger, Schedule, TargetId, What};
use tiny_http::{Header, Response, Server};

/// 50 us x 2^k, in seconds.
const BUCKETS: i32 = 20;

#[derive(Default)]
struct Host {
    name: String,
    family: &'static str,
    requests: u64,
    lost: u64,
    send_errors: u64,
    duplicates: u64,
    ttl: Option<u8>,
    buckets: [u64; BUCKETS as usize],
    count: u64,
    sum: f64,
}

#[derive(Default)]
struct Hosts(Mutex<HashMap<TargetId, Host>>);

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, HashMap<TargetId, Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, event: &Event) {
        let mut hosts = self.lock();
        let host = hosts.entry(event.target).or_default();
        host.family = event.address.family().name();
        match &event.what {
            What::Reply(reply) => {
                (host.requests, host.count, host.ttl) = (host.requests + 1, host.count + 1, reply.ttl);
                let seconds = reply.rtt.as_secs_f64();
                host.sum += seconds;
                let first = (0..BUCKETS).find(|&k| seconds <= bound(k)).unwrap_or(BUCKETS);
                host.buckets.iter_mut().skip(first as usize).for_each(|bucket| *bucket += 1);
            }
            What::Silence { doubtful: false } => (host.requests, host.lost) = (host.requests + 1, host.lost + 1),
            What::Refused(_) => host.send_errors += 1,
            What::Duplicate(_) => host.duplicates += 1,
            // Answered after all: it is not lost.
            What::Late(_) => host.lost = host.lost.saturating_sub(1),
            _ => {}
        }
    }

    fn metrics(&self) -> String {
        let hosts = self.lock();
        let hosts: BTreeMap<&str, &Host> = hosts.values().map(|host| (host.name.as_str(), host)).collect();
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Host, &str) -> Vec<String>| {
            let _ = write!(text, "# HELP xymonping_{name} {help}\n# TYPE xymonping_{name} {kind}\n");
            for (target, host) in &hosts {
                let target = target.replace('\\', "\\\\").replace('"', "\\\"");
                let labels = format!("target=\"{target}\",family=\"{}\"", host.family.to_lowercase());
                for sample in value(host, &labels) {
                    let _ = writeln!(text, "xymonping_{name}{sample}");
                }
            }
        };
        let one = |value: u64, labels: &str| vec![format!("{{{labels}}} {value}")];
        family(
            "requests_total",
            "counter",
            "Probes that were answered or lost, but not for this machine's sake.",
            &|host, labels| one(host.requests, labels),
        );
        let help = "Probes that were not answered, not even late.";
        family("requests_lost_total", "counter", help, &|host, labels| one(host.lost, labels));
        let help = "Probes that this machine did not send.";
        family("send_errors_total", "counter", help, &|host, labels| one(host.send_errors, labels));
        let help = "Further replies to probes that had been answered.";
        family("response_duplicates_total", "counter", help, &|host, labels| one(host.duplicates, labels));
        family("response_ttl", "gauge", "TTL or Hop Limit of the last reply.", &|host, labels| {
            host.ttl.map_or(Vec::new(), |ttl| one(ttl.into(), labels))
        });
        family("response_duration_seconds", "histogram", "Round-trip times.", &|host, labels| {
            let bucket = |le: String, count: u64| format!("_bucket{{{labels},le=\"{le}\"}} {count}");
            let bounds = (0..BUCKETS).zip(host.buckets).map(|(k, count)| bucket(bound(k).to_string(), count));
            let end = [format!("_sum{{{labels}}} {}", host.sum), format!("_count{{{labels}}} {}", host.count)];
            bounds.chain([bucket("+Inf".to_owned(), host.count)]).chain(end).collect()
        });
        text
    }
}

fn bound(k: i32) -> f64 {
    50e-6 * 2_f64.powi(k)
}

/// Has exactly the targets of the file probed, now and whenever the file has changed.
fn watch(path: &str, pinger: &Pinger, hosts: &Hosts) -> Result<(), Box<dyn Error>> {
    let (mut targets, mut seen) = (HashMap::new(), SystemTime::UNIX_EPOCH);
    loop {
        let changed = fs::metadata(path)?.modified()?;
        if changed != seen {
            seen = changed;
            let list = fs::read_to_string(path)?;
            let wanted: HashSet<&str> = list.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            targets.retain(|name: &String, target| {
                let stays = wanted.contains(name.as_str());
                if !stays && pinger.remove(*target) {
                    hosts.lock().remove(target);
                }
                stays
            });
            for name in wanted {
                if !targets.contains_key(name) {
                    let target = pinger.add_name(name, Schedule::default(), Some(Duration::from_secs(300)))?;
                    hosts.lock().entry(target).or_default().name = name.to_owned();
                    targets.insert(name.to_owned(), target);
                }
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (listen, path) = (args.next().ok_or("which address?")?, args.next().ok_or("which file?")?);
    let hosts = Arc::new(Hosts::default());
    let record = hosts.clone();
    let pinger = Pinger::new(Config::new(), move |event| record.record(&event))?;
    let server = Server::http(listen).map_err(|error| error.to_string())?;
    println!("http://{}/metrics", server.server_addr());
    let serve = hosts.clone();
    thread::spawn(move || {
        for request in server.incoming_requests() {
            let text = "Content-Type: text/plain; version=0.0.4; charset=utf-8".parse::<Header>();
            let response = Response::from_string(serve.metrics());
            let response = if let Ok(header) = text { response.with_header(header) } else { response };
            let _ = request.respond(response); // the client may have gone
        }
    });
    watch(&path, &pinger, &hosts)
}
