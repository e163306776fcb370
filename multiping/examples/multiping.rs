//! The quick start of Python's MultiPing: some addresses, one second, and once more those that were
//! silent. `cargo run --example multiping -- 127.0.0.1 192.0.2.1`

#![expect(clippy::print_stdout, reason = "it is what an example does")]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use multiping::{Address, Config, Options, Pinger, Schedule, What, ping};

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let addresses: Vec<Address> = env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let (pinger, mut events) = Pinger::queued(Config::new())?;
    let mut silent = HashMap::new();
    for &address in &addresses {
        match pinger.add(address, Schedule::manual().timeout(SECOND)) {
            Ok(target) => silent.insert(target, address),
            Err(multiping::Error::Permission(error)) => {
                println!("skipped: no right to ping: {error}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
    }
    for _round in 0..2 {
        for &target in silent.keys() {
            pinger.probe(target);
        }
        let end = Instant::now() + SECOND;
        while !silent.is_empty() {
            let Some(event) = events.next_before(end) else { break };
            if let What::Reply(reply) = event.what {
                silent.remove(&event.target);
                println!("{} responded in {:?}", event.address, reply.rtt);
            }
        }
    }
    println!("silent: {}", silent.len());

    // multi_ping(addrs, timeout=2, retry=3) is one call. A host that answers only its second probe
    // counts as alive.
    let results = ping(addresses, &Options::new().deadline(2 * SECOND).retries(3))?;
    println!("alive: {}, silent: {}", results.alive().count(), results.silent().count());
    Ok(())
}
