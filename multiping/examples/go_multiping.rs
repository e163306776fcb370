//! The quick start of go-multiping: one ping to each host by name, and a handler that tells apart
//! what came of it. `cargo run --example go_multiping -- localhost 127.0.0.2`

#![expect(clippy::print_stdout, reason = "it is what an example does")]

use std::env;

use multiping::{Config, Error, Pinger, Schedule, What};

fn main() -> Result<(), Error> {
    let pinger = Pinger::new(Config::new(), |event| match event.what {
        What::Reply(reply) => println!(
            "{} bytes from {} rtt: {:?} ttl: {:?} seq: {}",
            reply.len, reply.from, reply.rtt, reply.ttl, event.seq
        ),
        What::Silence { .. } => println!("Packet timed out from {} seq: {}", event.address, event.seq),
        What::Refused(error) | What::Unresolved(error) => {
            println!("Packet errored from {} seq: {} err: {error}", event.address, event.seq);
        }
        _ => {}
    })?;
    for host in env::args().skip(1) {
        pinger.add_name(&host, Schedule::once(), None)?;
    }
    let counts = pinger.drain()?;
    println!("{} sent, {} received", counts.sent, counts.replies);
    Ok(())
}
