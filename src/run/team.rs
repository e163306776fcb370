//! Threads that work on a share each, and the thread that waits for them.
//!
//! They start before the sandbox is entered, and get their shares after that. A flag tells them to
//! stop, an event ends their waits, and another one those of the main thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, Builder, JoinHandle};

use multiping::alloc;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

/// The stack of a thread, in bytes: several times what probing takes.
const STACK: usize = 256 << 10;

/// The address space that there has to be for one more thread, in bytes: glibc maps up to 128 MiB
/// for what a thread allocates (new_heap in malloc/arena.c), and does with less if it has to, but
/// leaves nothing then.
const SPACE: usize = 192 << 20;

/// Threads, each of which waits for its share or works on it.
pub struct Team<T> {
    members: Vec<Member<T>>,
    control: Arc<Control>,
}

struct Member<T> {
    /// Taken when the share has been handed over.
    sender: Option<Sender<T>>,
    handle: JoinHandle<Option<T>>,
}

/// What the threads and the one that waits for them tell each other.
pub struct Control {
    stops: AtomicBool,
    stop: EventFd,
    /// How many threads have not ended.
    working: AtomicUsize,
    ended: EventFd,
}

impl<T: Send + 'static> Team<T> {
    /// Starts `count` threads, or as many as can be started, and says why there are no more. Each
    /// does `work` on its share.
    pub fn start(count: usize, work: fn(&mut T, &Control)) -> io::Result<(Self, Option<io::Error>)> {
        let event = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let control = Arc::new(Control {
            stops: AtomicBool::new(false),
            stop: event()?,
            working: AtomicUsize::new(0),
            ended: event()?,
        });
        let mut team = Team { members: Vec::with_capacity(count), control };
        let mut why = None;
        while team.len() < count && why.is_none() {
            match team.start_one(work) {
                Ok(member) => team.members.push(member),
                Err(error) => why = Some(error),
            }
        }
        Ok((team, why))
    }

    /// Starts a thread and waits until it has begun: the C library makes system calls of its own
    /// then, which the sandbox refuses, and takes memory, without which it ends the process.
    fn start_one(&self, work: fn(&mut T, &Control)) -> io::Result<Member<T>> {
        if !alloc::can_allocate(SPACE) {
            return Err(Errno::ENOMEM.into());
        }
        let (sender, receiver) = mpsc::channel();
        let (ready, begun) = mpsc::channel::<()>();
        let control = Arc::clone(&self.control);
        let handle = Builder::new().stack_size(STACK).spawn(move || {
            drop(ready);
            let mut share = receiver.recv().ok()?;
            let _end = End(&control);
            work(&mut share, &control);
            Some(share)
        })?;
        let _ = begun.recv(); // what is dropped is not received
        Ok(Member { sender: Some(sender), handle })
    }

    /// How many threads there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Hands each thread its share. One without a share waits for [`Team::join`].
    pub fn begin(&mut self, shares: Vec<T>) {
        self.control.working.store(shares.len().min(self.len()), Ordering::Relaxed);
        for (member, share) in self.members.iter_mut().zip(shares) {
            let _ = member.sender.take().map(|sender| sender.send(share));
        }
    }

    /// Whether all threads have done their work.
    pub fn has_ended(&self) -> bool {
        let _ = self.control.ended.read(); // so that it is not told again
        self.control.working.load(Ordering::Acquire) == 0
    }

    /// Tells all threads to stop.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// Waits for all threads, and returns their shares. If one of them panicked, so does this; its
    /// message has been written.
    pub fn join(self) -> Vec<T> {
        let mut shares = Vec::with_capacity(self.len());
        for Member { sender, handle } in self.members {
            drop(sender);
            match handle.join() {
                Ok(share) => shares.extend(share),
                Err(bug) => panic::resume_unwind(bug),
            }
        }
        shares
    }
}

impl<T> AsFd for Team<T> {
    /// Readable when a thread has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.ended.as_fd()
    }
}

impl Control {
    /// Whether to stop.
    pub fn stop_requested(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }

    /// Tells all threads to stop.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
        let _ = self.stop.write(1); // is never read, and so wakes all of them
    }
}

impl AsFd for Control {
    /// Readable when threads are to stop.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stop.as_fd()
    }
}

/// The end of a thread's work, in order or by a panic, which ends that of the others as well.
struct End<'a>(&'a Control);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
        self.0.working.fetch_sub(1, Ordering::Release);
        let _ = self.0.ended.write(1);
    }
}
