//! Chance that can be repeated: a seeded generator, forked for each place that needs its own stream.

/// A seeded generator (wyrand, by the `fastrand` crate). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The generator of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// An independent stream; each call gives another.
    pub fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// Any 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.u64(..bound) }
    }

    /// A fraction in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        self.0.f64()
    }

    /// True with the given probability, `0.0..=1.0`.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_forks_differ() {
        let (mut a, mut b) = (Random::seeded(7), Random::seeded(7));
        assert_eq!(a.next_u64(), b.next_u64());
        let (mut left, mut right) = (a.fork(), a.fork());
        assert_ne!(left.next_u64(), right.next_u64());
        assert_eq!(b.fork().next_u64(), Random::seeded(7).also(|r| r.next_u64()).fork().next_u64());
    }

    impl Random {
        fn also(mut self, f: impl FnOnce(&mut Self) -> u64) -> Self {
            f(&mut self);
            self
        }
    }
}
