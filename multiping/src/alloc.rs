//! Memory that is asked for and may be refused.
//!
//! What grows with the number of targets is allocated with `try_reserve`, and a refusal is an
//! error. What is small (buffers, arguments, messages) is allocated as usual: if that fails, the
//! process dies by SIGABRT, which Xymon takes for a success. So headroom for it is checked at the
//! start and with each large allocation.

use std::collections::{TryReserveError, VecDeque};
use std::fmt::{self, Display, Formatter};
use std::hint::black_box;

/// What is always left: enough for a command line of a megabyte and for the buffers of the longest
/// probes. (Above glibc's maximum dynamic mmap threshold of 32 MiB: freeing a smaller block raises
/// the threshold, see mallopt(3), and later large vectors would grow by copying.)
const HEADROOM: usize = 33 << 20;

/// From this size on an allocation is large, in bytes.
const LARGE: usize = 1 << 20;

/// There is no memory for this many items.
///
/// ```
/// use multiping::{Error, OutOfMemory};
///
/// /// How many targets there was memory for, if there was too little.
/// fn stored(error: &Error) -> Option<usize> {
///     if let Error::Memory(OutOfMemory { items, .. }) = error { Some(*items) } else { None }
/// }
/// # let _ = stored;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutOfMemory {
    /// How many items could not be stored.
    pub items: usize,
}

impl OutOfMemory {
    /// For the program of the same workspace, which stores items of its own.
    #[doc(hidden)]
    pub const fn at(items: usize) -> Self {
        OutOfMemory { items }
    }
}

impl Display for OutOfMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory at {} items", self.items)
    }
}

impl std::error::Error for OutOfMemory {}

/// Checks that there is memory for all that is small; `items` are stored so far.
pub fn check_headroom(items: usize) -> Result<(), OutOfMemory> {
    if can_allocate(HEADROOM) { Ok(()) } else { Err(OutOfMemory { items }) }
}

/// Whether this many bytes can be allocated in one piece.
pub fn can_allocate(bytes: usize) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    let reserved = probe.try_reserve_exact(bytes);
    // Without this the compiler may remove an allocation that is never used.
    black_box(&probe);
    reserved.is_ok()
}

/// Appends `item` and returns its index.
pub fn try_push<T>(list: &mut Vec<T>, item: T) -> Result<u32, OutOfMemory> {
    if list.len() == list.capacity() {
        let items = list.len();
        list.try_reserve(1).map_err(|_| OutOfMemory { items })?;
        keep_headroom(list.capacity() * size_of::<T>(), items)?;
    }
    list.push(item);
    Ok(list.len() as u32 - 1)
}

/// Makes a collection of this many items larger by `reserve`, which returns about how many bytes it
/// takes then, and checks that there is headroom after it if these are many.
pub fn try_grow(items: usize, reserve: impl FnOnce() -> Result<usize, TryReserveError>) -> Result<(), OutOfMemory> {
    let bytes = reserve().map_err(|_| OutOfMemory { items })?;
    keep_headroom(bytes, items)
}

/// Makes a queue large enough for `len` items in all.
pub(crate) fn try_grow_queue<T>(queue: &mut VecDeque<T>, len: usize) -> Result<(), OutOfMemory> {
    if len <= queue.capacity() {
        return Ok(());
    }
    let more = len - queue.len();
    try_grow(queue.len(), || queue.try_reserve(more).map(|()| queue.capacity() * size_of::<T>()))
}

/// Makes a vector large enough for `more` items, or leaves it as it was.
pub(crate) fn try_reserve<T>(list: &mut Vec<T>, more: usize) -> Result<(), OutOfMemory> {
    if list.is_empty() {
        // Growing it would copy what it does not hold, and so use memory for it.
        *list = try_with_capacity(more.max(list.capacity()))?;
        return Ok(());
    }
    let (items, before) = (list.len(), list.capacity());
    let grown = try_grow(items, || list.try_reserve_exact(more).map(|()| list.capacity() * size_of::<T>()));
    if grown.is_err() {
        list.shrink_to(before);
    }
    grown
}

/// `count` times `item`.
pub fn try_filled<T: Clone>(count: usize, item: T) -> Result<Vec<T>, OutOfMemory> {
    let mut list = try_with_capacity(count)?;
    list.resize(count, item);
    Ok(list)
}

/// An empty vector with capacity for `count` items.
pub fn try_with_capacity<T>(count: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| OutOfMemory { items: count })?;
    keep_headroom(list.capacity() * size_of::<T>(), count)?;
    Ok(list)
}

/// Checks headroom where small allocations add up, as those of names do.
#[derive(Debug, Default)]
pub struct Pieces {
    /// How much was allocated since the last check.
    bytes: usize,
}

impl Pieces {
    /// What an allocation takes beside its content, in bytes.
    const OVERHEAD: usize = 16;

    /// A piece of this size is about to be allocated; `items` are stored so far.
    pub fn add(&mut self, bytes: usize, items: usize) -> Result<(), OutOfMemory> {
        self.bytes += bytes + Self::OVERHEAD;
        if self.bytes < LARGE {
            return Ok(());
        }
        self.bytes = 0;
        check_headroom(items)
    }
}

/// Checks that there is headroom after an allocation of this many bytes, if it is large.
fn keep_headroom(bytes: usize, items: usize) -> Result<(), OutOfMemory> {
    if bytes < LARGE { Ok(()) } else { check_headroom(items) }
}
