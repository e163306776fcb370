//! An engine in tokio's loop, without a thread of its own, beside other tasks. Times are taken by
//! the kernel, so that a task which holds up the loop is in no RTT.

#![expect(clippy::print_stdout, reason = "it is what an example does")]

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use multiping::{Config, Engine, Schedule, What};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, sleep_until};

/// A descriptor in tokio's loop.
#[allow(deprecated, reason = "what takes its place is unsafe, for descriptors that are not owned")]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Probes until every target is done. Returns how many answered.
async fn probe(mut engine: Engine) -> Result<usize, Box<dyn Error>> {
    let mut alive = 0;
    loop {
        let turn = engine.turn();
        while let Some(event) = engine.next_event() {
            if let What::Reply(reply) = event.what {
                alive += 1;
                println!("{} answered in {:?}", event.address, reply.rtt);
            }
        }
        if engine.is_empty() {
            return Ok(alive);
        }
        let mut fds = engine.descriptors().map(|fd| watched(fd.try_clone_to_owned()?));
        let (first, second) = (fds.next().transpose()?, fds.next().transpose()?);
        let readable = async |fd: &Option<AsyncFd<OwnedFd>>| match fd {
            Some(fd) if turn.wants_read => drop(fd.readable().await),
            _ => std::future::pending().await,
        };
        let wakeup = turn.wakeup.map_or(Instant::now() + Duration::from_secs(3600), Instant::from_std);
        let (mut a, mut b) = (std::pin::pin!(readable(&first)), std::pin::pin!(readable(&second)));
        let mut timer = std::pin::pin!(sleep_until(wakeup));
        // Whatever comes first ends the wait.
        std::future::poll_fn(|cx| {
            let ready = [a.as_mut().poll(cx), b.as_mut().poll(cx), timer.as_mut().poll(cx)];
            ready.into_iter().find(|ready| ready.is_ready()).unwrap_or(std::task::Poll::Pending)
        })
        .await;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut engine = Engine::new(Config::new())?;
    for number in 1..=5 {
        match engine.add([127, 0, 0, number], Schedule::once()) {
            Ok(_) => {}
            Err(multiping::Error::Permission(error)) => {
                println!("skipped: no right to ping: {error}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let alive = runtime.block_on(async {
        // Another task of the same loop, which holds it up.
        tokio::spawn(async {
            loop {
                std::thread::sleep(Duration::from_millis(5));
                sleep(Duration::from_millis(5)).await;
            }
        });
        probe(engine).await
    })?;
    println!("{alive} of 5 answered");
    Ok(())
}
