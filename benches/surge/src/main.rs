//! The crate surge-ping at the work of `benches/library.rs`: TARGETS tasks that ping 10.0.0.0 and
//! the addresses after it once a second, for SECONDS. It prints how many probes there were, how
//! many were answered within a second, and two quantiles of the RTTs in microseconds.
//!
//! cargo build --release --manifest-path benches/surge/Cargo.toml
//! SURGE=$PWD/benches/surge/target/release/xymonping-bench-surge cargo bench --bench library

use std::env;
use std::net::Ipv4Addr;
use std::time::Duration;

use surge_ping::{Client, Config, PingIdentifier, PingSequence};
use tokio::time::{Instant, interval_at, sleep_until};

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1).map(|text| text.parse::<u32>());
    let (targets, seconds) = (args.next().ok_or("TARGETS")??, args.next().ok_or("SECONDS")??);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut probes, mut rtts) = (0_u64, Vec::new());
    runtime.block_on(async {
        let client = Client::new(&Config::default())?;
        let start = Instant::now() + SECOND / 10;
        let end = start + SECOND * seconds;
        let mut tasks = Vec::new();
        for target in 0..targets {
            let client = client.clone();
            tasks.push(tokio::spawn(async move {
                let address = Ipv4Addr::from_bits(0x0a00_0000 + target).into();
                let mut pinger = client.pinger(address, PingIdentifier(target as u16)).await;
                pinger.timeout(SECOND);
                let first = start + SECOND.mul_f64(f64::from(target) / f64::from(targets));
                sleep_until(first).await;
                let mut turns = interval_at(first, SECOND);
                let (mut probes, mut rtts) = (0_u64, Vec::new());
                while turns.tick().await < end {
                    let reply = pinger.ping(PingSequence(probes as u16), &[0; 56]).await;
                    probes += 1;
                    rtts.extend(reply.map(|(_, rtt)| rtt));
                }
                (probes, rtts)
            }));
        }
        for task in tasks {
            let (more, times) = task.await?;
            probes += more;
            rtts.extend(times);
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    rtts.sort_unstable();
    let quantile = |share: f64| rtts.get((rtts.len() as f64 * share) as usize).copied().unwrap_or_default();
    let micros = |share| quantile(share).as_nanos() as f64 / 1e3;
    println!("{probes} {} {} {}", rtts.len(), micros(0.5), micros(0.99));
    Ok(())
}
