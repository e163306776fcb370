//! The reading end of a pinger's queue.

#![expect(clippy::disallowed_methods, reason = "an edge: waits end at a time")]

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::event::Event;
use crate::pinger::Shared;
use crate::pinger::queue::Popped;

/// The events of a [`Pinger`](crate::Pinger), to be read in whatever way suits.
///
/// It is an iterator that blocks until there is an event, and ends when the pinger is gone and all
/// is told. It needs no async runtime and works with every one; with the feature `stream` it is a
/// `futures_core::Stream`.
///
/// When it is dropped, events are dropped from then on, and targets are probed all the same.
///
/// ```
/// use std::time::{Duration, Instant};
/// use multiping::{Config, Pinger, Schedule, What};
///
/// let (pinger, mut events) = Pinger::queued(Config::new())?;
/// if let Err(error) = pinger.add([127, 0, 0, 1], Schedule::every(Duration::from_millis(10))) {
///     println!("skipped: {error}"); // no right to ping
///     return Ok(());
/// }
/// let end = Instant::now() + Duration::from_secs(10);
/// while let Some(event) = events.next_before(end) {
///     if let What::Reply(reply) = event.what {
///         println!("{} answered probe {} in {:?}", event.address, event.seq, reply.rtt);
///         break;
///     }
/// }
/// # Ok::<_, multiping::Error>(())
/// ```
pub struct Events {
    pub(super) shared: Arc<Shared>,
}

impl Events {
    /// The next event, if one waits.
    pub fn try_next(&mut self) -> Option<Event> {
        if self.shared.is_foreign() {
            return None;
        }
        self.taken(self.shared.queue.pop())
    }

    /// Waits for the next event until `deadline` at most. `None`: there was none, or none will
    /// come.
    pub fn next_before(&mut self, deadline: Instant) -> Option<Event> {
        self.wait(Some(deadline))
    }

    /// The next event, or has the task woken when there is one. `Ready(None)`: none will come.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.shared.is_foreign() {
            return Poll::Ready(None);
        }
        match self.shared.queue.poll(cx.waker()) {
            Err(()) => Poll::Ready(None),
            Ok(None) => Poll::Pending,
            Ok(popped) => Poll::Ready(self.taken(popped)),
        }
    }

    /// Waits for the next event in whatever async runtime. `None`: none will come. Nothing is lost
    /// if it is cancelled.
    ///
    /// ```
    /// use multiping::Events;
    ///
    /// /// A task of whatever async runtime.
    /// async fn print_all(mut events: Events) {
    ///     while let Some(event) = events.recv().await {
    ///         println!("{}: {:?}", event.address, event.what);
    ///     }
    /// }
    /// ```
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<Event> {
        // After a fork nothing would come, without end.
        if self.shared.is_foreign() {
            return None;
        }
        self.taken(self.shared.queue.wait(deadline, Instant::now))
    }

    fn taken(&self, popped: Popped) -> Option<Event> {
        let (event, wakes) = popped?;
        if wakes {
            self.shared.wake();
        }
        Some(event)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.wait(None)
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for Events {
    type Item = Event;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Events::poll_next(&mut self, cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if !self.shared.is_foreign() {
            self.shared.queue.abandon();
            self.shared.wake();
        }
    }
}
