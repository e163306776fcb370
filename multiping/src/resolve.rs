//! Names: the system's resolver, on threads of its own.

use std::collections::VecDeque;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::error::Error;

/// How many threads look names up at the same time, for one pinger or one call.
const MAX_THREADS: usize = 8;

/// The addresses of names, in the order of the names: what getaddrinfo(3) returns for each, in its
/// order. An address in text is its own name, with or without a zone. Up to eight threads look
/// names up at the same time, so that a slow one delays only itself.
///
/// A name that is not found `within` this time is an error of its own; its thread ends when the
/// system's resolver gives up.
///
/// ```
/// use std::time::Duration;
/// use multiping::{Address, names};
///
/// let found = names::resolve(["127.0.0.1", "no-such-host.invalid"], Duration::from_secs(10));
/// assert_eq!(found[0].as_deref().ok(), Some(&[Address::from([127, 0, 0, 1])][..]));
/// assert!(found[1].is_err());
/// ```
#[expect(clippy::disallowed_methods, reason = "an edge: names are given this long")]
pub fn resolve<S: AsRef<str>>(
    names: impl IntoIterator<Item = S>,
    within: Duration,
) -> Vec<Result<Vec<Address>, Error>> {
    let names: Vec<Arc<str>> = names.into_iter().map(|name| Arc::from(name.as_ref())).collect();
    let timed_out = |name: &Arc<str>| {
        let source = io::Error::from(io::ErrorKind::TimedOut);
        Err(Error::Resolve { name: name.to_string(), source })
    };
    let mut found: Vec<_> = names.iter().map(timed_out).collect();
    let resolver = Resolver::default();
    let (tell, told) = mpsc::channel();
    for (index, name) in names.iter().enumerate() {
        let (tell, looked_up) = (tell.clone(), name.clone());
        let started = resolver.start(Box::new(move || {
            // The caller may have stopped waiting.
            let _ = tell.send((index, lookup(&looked_up)));
        }));
        if let Err(source) = started {
            found[index] = Err(Error::Resolve { name: name.to_string(), source });
        }
    }
    drop(tell);
    let end = Instant::now().checked_add(within);
    let next = || match end {
        Some(end) => told.recv_timeout(end.saturating_duration_since(Instant::now())).ok(),
        None => told.recv().ok(),
    };
    while let Some((index, addresses)) = next() {
        let name = names[index].to_string();
        found[index] = addresses.map_err(|source| Error::Resolve { name, source });
    }
    resolver.stop();
    found
}

/// The addresses of one name, without duplicates.
pub(crate) fn lookup(name: &str) -> io::Result<Vec<Address>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let mut addresses: Vec<Address> = Vec::new();
    for address in (name, 0).to_socket_addrs()?.map(Address::from) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
        false => Ok(addresses),
    }
}

/// Work for a thread of its own.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs on up to [`MAX_THREADS`] threads, which are there only while there are jobs.
#[derive(Clone, Default)]
pub(crate) struct Resolver(Arc<Mutex<Jobs>>);

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    threads: usize,
}

impl Resolver {
    /// Runs `job` as soon as a thread is free. If no thread can be started at all, the job is
    /// dropped, and it is an error.
    pub(crate) fn start(&self, job: Job) -> io::Result<()> {
        let mut jobs = self.lock();
        jobs.waiting.push_back(job);
        if jobs.threads == MAX_THREADS {
            return Ok(());
        }
        let resolver = self.clone();
        let run = move || {
            while let Some(job) = resolver.next() {
                job();
            }
        };
        match thread::Builder::new().name("multiping-names".to_owned()).spawn(run) {
            Ok(_) => jobs.threads += 1,
            Err(error) if jobs.threads == 0 => {
                jobs.waiting.clear();
                return Err(error);
            }
            // One that is there takes it.
            Err(_) => {}
        }
        Ok(())
    }

    /// Drops the jobs that have not begun.
    pub(crate) fn stop(&self) {
        self.lock().waiting.clear();
    }

    fn next(&self) -> Option<Job> {
        let mut jobs = self.lock();
        let job = jobs.waiting.pop_front();
        if job.is_none() {
            jobs.threads -= 1;
        }
        job
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
