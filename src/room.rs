//! Memory that is asked for and may be refused.
//!
//! What grows with the list is asked for piece by piece, and a refusal is an error. What is small (buffers, arguments,
//! messages) Rust asks for in its own way: if there is no memory, the process dies by SIGABRT, which Xymon takes for a
//! success. So at the start, and with each large piece, it is made sure that enough for all of that is left.

use std::hint::black_box;
use std::mem;

use crate::error::Error;

/// What is always left: room for a command line of a megabyte and the buffers of the longest probes. (A freed piece of up
/// to 32 MiB would tell glibc's malloc to keep pieces of that size in its heap from then on, where they grow by being
/// copied.)
const SPARE: usize = 33 << 20;

/// From here on a list is large, in bytes.
const LARGE: usize = 1 << 20;

/// Whether there is room for all that is small; `targets` are what there was room for so far.
pub fn spare(targets: usize) -> Result<(), Error> {
    if is_there(SPARE) { Ok(()) } else { Err(Error::Memory(targets)) }
}

/// Whether so many bytes could be had in one piece.
pub fn is_there(bytes: usize) -> bool {
    let mut room: Vec<u8> = Vec::new();
    let reserved = room.try_reserve_exact(bytes);
    // Without this the compiler may leave out an allocation that nobody uses.
    black_box(&room);
    reserved.is_ok()
}

/// Appends `item` and says at which place.
pub fn push<T>(list: &mut Vec<T>, item: T) -> Result<u32, Error> {
    if list.len() == list.capacity() {
        list.try_reserve(1).map_err(|_| Error::Memory(list.len()))?;
        leave_spare(list, list.len())?;
    }
    list.push(item);
    Ok(list.len() as u32 - 1)
}

/// `count` times `item`.
pub fn filled<T: Clone>(count: usize, item: T) -> Result<Vec<T>, Error> {
    let mut list = reserved(count)?;
    list.resize(count, item);
    Ok(list)
}

/// Room for `count` items.
pub fn reserved<T>(count: usize) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| Error::Memory(count))?;
    leave_spare(&list, count)?;
    Ok(list)
}

fn leave_spare<T>(list: &Vec<T>, targets: usize) -> Result<(), Error> {
    if list.capacity() * mem::size_of::<T>() < LARGE { Ok(()) } else { spare(targets) }
}
