//! Instructions of classic BPF programs (linux/bpf_common.h), for filters of sockets.

use nix::libc;
use socket2::SockFilter;

/// Loads the byte at this offset.
pub fn load_byte(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, offset)
}

/// Loads the half word at this offset.
pub fn load_half(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16, 0, 0, offset)
}

/// Loads the half word at this offset after the IPv4 header. Follows [`load_ipv4_header_length`].
pub fn load_half_after_header(offset: u32) -> SockFilter {
    SockFilter::new((libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16, 0, 0, offset)
}

/// Loads the length of the IPv4 header into the index register.
pub fn load_ipv4_header_length() -> SockFilter {
    SockFilter::new((libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16, 0, 0, 0)
}

/// Skips `equal` instructions if the loaded value is `value`, otherwise `unequal`.
pub fn jump_if_equal(value: u32, equal: u8, unequal: u8) -> SockFilter {
    SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ) as u16, equal, unequal, value)
}

/// Ends the program: keeps this many bytes of the packet, or drops it for 0.
pub fn keep(bytes: u32) -> SockFilter {
    SockFilter::new(libc::BPF_RET as u16, 0, 0, bytes)
}
