//! A line that is an IPv4 address and nothing else, as most lines of long lists are: read in one
//! pass.

use std::net::Ipv4Addr;

/// The address in the first line of `text`, that line, and what follows it. `None`: it is not
/// complete, or it is anything else than an address as the standard library parses it.
pub(super) fn first_line(text: &[u8]) -> Option<(Ipv4Addr, &[u8], &[u8])> {
    let (mut octets, mut at) = ([0; 4], 0);
    for (octet, end) in octets.iter_mut().zip(b"...\n") {
        let first = at;
        let mut number: u16 = 0;
        while let Some(digit @ b'0'..=b'9') = text.get(at).filter(|_| at - first < 3) {
            number = number * 10 + u16::from(digit - b'0');
            at += 1;
        }
        let has_leading_zero = at - first > 1 && text[first] == b'0';
        if at == first || has_leading_zero || text.get(at) != Some(end) {
            return None;
        }
        *octet = u8::try_from(number).ok()?;
        at += 1;
    }
    Some((octets.into(), &text[..at - 1], &text[at..]))
}

#[cfg(test)]
mod tests {
    use std::str;

    use fastrand::Rng;

    use super::*;

    /// The same by the standard library.
    fn by_std(text: &[u8]) -> Option<(Ipv4Addr, &[u8], &[u8])> {
        let end = text.iter().position(|&byte| byte == b'\n')?;
        let ip = str::from_utf8(&text[..end]).ok()?.parse().ok()?;
        Some((ip, &text[..end], &text[end + 1..]))
    }

    #[test]
    fn it_is_what_the_standard_library_makes_of_the_line() {
        let mut rng = Rng::with_seed(1);
        let mut addresses = 0;
        for number in 0..200_000 {
            let ip = Ipv4Addr::from_bits(rng.u32(..) >> rng.u8(..24));
            let mut text = format!("{ip}\n{}", if rng.bool() { "192.0.2.1\n" } else { "" }).into_bytes();
            for _ in 0..number % 3 {
                let place = rng.usize(..text.len());
                match rng.u8(..4) {
                    0 => drop(text.remove(place)),
                    1 => text.insert(place, *rng.choice(b"0123456789..\n\r #-\xff").unwrap_or(&0)),
                    2 => text[place] = rng.u8(..),
                    _ => text.truncate(place + 1),
                }
            }
            let expected = by_std(&text);
            assert_eq!(first_line(&text), expected, "{:?}", text.escape_ascii().to_string());
            addresses += u32::from(expected.is_some());
        }
        assert!((60_000..190_000).contains(&addresses), "{addresses}");
        let texts =
            ["", "\n", "1.2.3.4", "1.2.3.4\r\n", "1.2.3\n", "1.2.3.4.5\n", "01.2.3.4\n", "00.0.0.0\n", "256.1.1.1\n"];
        for text in texts.into_iter().chain([
            "1.2.3.0000\n",
            "1.2.3.4 x\n",
            " 1.2.3.4\n",
            "1..2.3\n",
            "255.255.255.255\n",
            "0.0.0.0\n",
        ]) {
            assert_eq!(first_line(text.as_bytes()), by_std(text.as_bytes()), "{text:?}");
        }
    }
}
