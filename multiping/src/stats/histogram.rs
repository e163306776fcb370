//! A log-linear histogram of RTTs, as arithmetic on indexes.
//!
//! `bits` is the resolution. Below 2^bits ticks every value has a counter of its own. Above, each
//! octave (from a power of two to the next) has 2^bits counters of equal width, up to 2^31 ticks. A
//! bucket is read as its middle, which differs from any value in it by less than 1 / 2^(bits + 1)
//! of that value.

/// How many counters a histogram has.
pub(super) const fn len(bits: u32) -> usize {
    (32 - bits as usize) << bits
}

/// The index of the counter for `ticks`, which are below 2^31.
pub(super) fn index(ticks: u32, bits: u32) -> usize {
    let shift = (ticks | 1).ilog2().saturating_sub(bits);
    ((shift << bits) + (ticks >> shift)) as usize
}

/// The value that the counter at `index` stands for, in ticks: the middle of its bucket, rounded
/// down.
pub(super) fn middle(index: usize, bits: u32) -> u32 {
    let index = index as u32;
    let shift = (index >> bits).saturating_sub(1);
    let low = (index - (shift << bits)) << shift;
    low + ((1 << shift) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u32 = (1 << 31) - 1;

    #[test]
    fn the_sizes_are_those_of_the_documents() {
        assert_eq!(len(4), 448);
        assert_eq!(len(5), 864);
        assert_eq!(len(7), 3200);
    }

    /// The values around every power of two and every edge of a bucket.
    fn edges(bits: u32) -> impl Iterator<Item = u32> {
        let octaves = (bits..31).flat_map(move |octave| {
            let width = 1u32 << (octave - bits);
            (0..1 << bits).flat_map(move |step| {
                let low = (1 << octave) + step * width;
                [low - 1, low, low + 1, low + width / 2, low + (width - 1)]
            })
        });
        (0..100_000).chain(octaves).chain([LAST - 1, LAST])
    }

    #[test]
    fn the_index_never_leaves_the_table_and_the_middle_lies_in_its_own_bucket() {
        for bits in [4, 5, 7] {
            assert_eq!(index(LAST, bits), len(bits) - 1);
            for counter in 0..len(bits) {
                assert_eq!(index(middle(counter, bits), bits), counter, "{bits} bits");
            }
        }
    }

    #[test]
    fn buckets_are_contiguous_and_in_the_order_of_their_values() {
        for bits in [4, 5, 7] {
            let mut values: Vec<u32> = edges(bits).collect();
            values.sort_unstable();
            values.dedup();
            let mut before = 0;
            for value in values {
                let counter = index(value, bits);
                assert!(counter == before || counter == before + 1, "{value} with {bits} bits");
                before = counter;
            }
            assert_eq!(before, len(bits) - 1);
        }
    }

    #[test]
    fn small_values_are_exact_and_the_error_of_all_others_is_below_its_bound() {
        for bits in [4, 5, 7] {
            for value in edges(bits) {
                let error = u64::from(value.abs_diff(middle(index(value, bits), bits)));
                assert!(error << (bits + 1) < u64::from(value).max(1), "{value} is off by {error} with {bits} bits");
                assert!(error == 0 || value >= 1 << bits);
            }
        }
    }

    #[test]
    fn an_octave_has_sixteen_buckets() {
        assert_eq!(index(1 << 20, 4) - index(1 << 19, 4), 16);
        assert_eq!(index((1 << 19) + (1 << 15) - 1, 4), index(1 << 19, 4));
        assert_eq!(index((1 << 19) + (1 << 15), 4), index(1 << 19, 4) + 1);
    }
}
