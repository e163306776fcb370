//! A run on a thread of its own.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use nix::sys::eventfd::EventFd;

use crate::address::Address;
use crate::alloc::try_filled;
use crate::error::Error;
use crate::net;
use crate::ping::{Options, Outcome, Results, Run};

/// A run on a thread of its own: an iterator over the outcomes of the targets as they are settled,
/// and a `Future` of the [`Results`] for any async runtime.
///
/// Of equal addresses there is one outcome. When it is dropped, the run is cancelled.
///
/// ```
/// use multiping::{Address, Options};
///
/// let targets = (1..=20).map(|number| Address::from([127, 0, 0, number]));
/// let mut running = match Options::new().start(targets) {
///     Ok(running) => running,
///     Err(error) => return Ok(println!("skipped: {error}")), // no right to ping
/// };
/// for outcome in &mut running {
///     println!("{}: {:?}", outcome.address, outcome.verdict);
/// }
/// let results = running.wait()?;
/// assert_eq!(results.len(), 20);
/// # Ok::<_, multiping::Error>(())
/// ```
pub struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The process in which the thread runs.
    process: u32,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    is_cancelled: AtomicBool,
    wake: EventFd,
}

#[derive(Default)]
struct State {
    outcomes: VecDeque<Outcome>,
    is_over: bool,
    results: Option<Result<Results, Error>>,
    waker: Option<Waker>,
}

impl Running {
    pub(super) fn start<T: Into<Address>>(
        targets: impl IntoIterator<Item = T>,
        options: &Options,
    ) -> Result<Self, Error> {
        let run = Run::new(targets, options)?;
        let told = try_filled(run.prober.strategy().addresses().len(), false)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            is_cancelled: AtomicBool::new(false),
            wake: net::eventfd()?,
        });
        let end = End(shared.clone());
        let work = move || end.0.run(run, told);
        let thread = thread::Builder::new().name("multiping".to_owned()).spawn(work);
        let thread = thread.map_err(|source| Error::System { what: "starting a thread", source })?;
        Ok(Running { shared, thread: Some(thread), process: process::id() })
    }

    /// Ends the run: what is not settled stays so. The results can still be had.
    ///
    /// ```
    /// use multiping::{Address, Options};
    ///
    /// let running = match Options::new().start([Address::from([127, 0, 0, 1])]) {
    ///     Ok(running) => running,
    ///     Err(error) => return Ok(println!("skipped: {error}")), // no right to ping
    /// };
    /// running.cancel();
    /// println!("complete: {}", running.wait()?.is_complete());
    /// # Ok::<_, multiping::Error>(())
    /// ```
    pub fn cancel(&self) {
        self.shared.is_cancelled.store(true, Ordering::Release);
        // It can fail only if it was woken 2^64 times.
        let _ = self.shared.wake.write(1);
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if nothing could be received for a second; [`Error::Closed`] if the
    /// results were had before, or if this is another process, after a fork.
    pub fn wait(mut self) -> Result<Results, Error> {
        while !self.is_foreign() {
            let mut state = self.shared.lock();
            if state.is_over {
                return state.results.take().unwrap_or(Err(Error::Closed));
            }
            drop(self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
        }
        std::mem::forget(self.thread.take());
        Err(Error::Closed)
    }

    /// Whether the thread is in another process.
    fn is_foreign(&self) -> bool {
        self.process != process::id()
    }
}

impl Iterator for Running {
    type Item = Outcome;

    /// Waits for the next outcome. `None`: every target had one.
    fn next(&mut self) -> Option<Outcome> {
        if self.is_foreign() {
            return None;
        }
        let waits = |state: &mut State| state.outcomes.is_empty() && !state.is_over;
        let state = self.shared.changed.wait_while(self.shared.lock(), waits);
        state.unwrap_or_else(PoisonError::into_inner).outcomes.pop_front()
    }
}

impl Future for Running {
    type Output = Result<Results, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_foreign() {
            return Poll::Ready(Err(Error::Closed));
        }
        let mut state = self.shared.lock();
        if state.is_over {
            return Poll::Ready(state.results.take().unwrap_or(Err(Error::Closed)));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match self.thread.take() {
            Some(thread) if self.is_foreign() => std::mem::forget(thread),
            Some(thread) => {
                self.cancel();
                // It ends in any case; a panic of ours has been told by the panic hook.
                let _ = thread.join();
            }
            None => {}
        }
    }
}

/// Ends the run also if its thread panics.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut run: Run, mut told: Vec<bool>) {
        loop {
            let mut outcomes = Vec::new();
            let is_new = |told: &mut Vec<bool>, index: usize| !std::mem::replace(&mut told[index], true);
            let step = run.step(|run, target| {
                if run.is_settled(target) && is_new(&mut told, target.index()) {
                    outcomes.extend(run.outcome(target));
                }
            });
            if !outcomes.is_empty() {
                self.lock().outcomes.extend(outcomes);
                self.changed.notify_all();
            }
            let Some(wait) = step else { break };
            if self.is_cancelled.load(Ordering::Acquire) {
                run.stop();
                break;
            }
            run.wait(wait, &self.wake);
        }
        let rest = told.iter().zip(0..).filter(|(told, _)| !**told);
        let rest: Vec<_> = rest.filter_map(|(_, target)| run.outcome(crate::address::TargetId(target))).collect();
        self.lock().outcomes.extend(rest);
        self.end(Some(run.finish()));
    }

    /// Nothing more comes.
    fn end(&self, results: Option<Result<Results, Error>>) {
        let mut state = self.lock();
        state.is_over = true;
        if results.is_some() {
            state.results = results;
        }
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
