//! Who suspects a node, by what it hears of it: a detector for each peer, and what a node thinks of itself.
//!
//! A node looks at its peers at even intervals. Whatever a peer has sent since the last look shows that it lives; only
//! when there was nothing is it probed, and it has to answer before the next look. So many looks in silence make it
//! suspect, and one word from it ends that. A node whose own looks come late distrusts itself before it distrusts
//! others: such a look proves nothing, and for a while more silence is wanted (Dadgar, Phillips, Currey: "Lifeguard:
//! local health awareness for more accurate failure detection", 2018).
//!
//! What comes of it is evidence. It takes a node out of balancing; it removes nobody.

/// The most looks that a node adds which distrusts itself.
const DISTRUST_MAX: u32 = 3;

/// Whether the looks of this node come when they should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    distrust: u32,
}

impl Health {
    /// A look comes, in time or too late to say anything about others.
    pub fn look(&mut self, is_late: bool) {
        self.distrust = match is_late {
            true => (self.distrust + 1).min(DISTRUST_MAX),
            false => self.distrust.saturating_sub(1),
        };
    }

    /// Silent looks that are wanted beyond those of a healthy node.
    pub const fn distrust(self) -> u32 {
        self.distrust
    }
}

/// What a look at a peer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is nothing new.
    Same,
    /// It has become suspect.
    Suspected,
    /// It was suspect, and was heard.
    Heard,
}

/// One peer, as far as it was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detector {
    silent: u32,
    is_suspect: bool,
}

impl Detector {
    /// A look that was in time: whether anything has come of the peer since the one before it. `missed` looks in
    /// silence and one more, in which it was not probed yet, make it suspect. `health` is what the node thinks of
    /// itself.
    pub fn look(&mut self, heard: bool, missed: u32, health: Health) -> Finding {
        if heard {
            self.silent = 0;
            return match std::mem::take(&mut self.is_suspect) {
                true => Finding::Heard,
                false => Finding::Same,
            };
        }
        self.silent = self.silent.saturating_add(1);
        if self.is_suspect || self.silent <= missed.saturating_add(health.distrust()) {
            return Finding::Same;
        }
        self.is_suspect = true;
        Finding::Suspected
    }

    /// Looks in silence until now: with one it is to be probed.
    pub const fn silent(self) -> u32 {
        self.silent
    }

    /// Whether it is suspect.
    pub const fn is_suspect(self) -> bool {
        self.is_suspect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_becomes_suspect_by_silence_alone_and_a_word_ends_it() {
        let (mut peer, health) = (Detector::default(), Health::default());
        let found = [true, false, false, false, false, false, true, false].map(|heard| {
            let finding = peer.look(heard, 3, health);
            (finding, peer.is_suspect())
        });
        let same = (Finding::Same, false);
        let suspected = [(Finding::Suspected, true), (Finding::Same, true)];
        let expected = [same, same, same, same, suspected[0], suspected[1], (Finding::Heard, false), same];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_answer_to_each_probe_is_enough() {
        let mut peer = Detector::default();
        for look in 0..100 {
            // nothing comes but the answer, between the next two looks
            assert_eq!(peer.look(look % 2 == 1, 3, Health::default()), Finding::Same);
        }
    }

    #[test]
    fn who_looks_late_wants_more_silence_and_comes_to_trust_itself_again() {
        let mut health = Health::default();
        (0..10).for_each(|_| health.look(true));
        assert_eq!(health.distrust(), DISTRUST_MAX);
        let mut peer = Detector::default();
        let looks = (1..).find(|_| peer.look(false, 3, health) == Finding::Suspected);
        assert_eq!(looks, Some(4 + DISTRUST_MAX));
        (0..10).for_each(|_| health.look(false));
        assert_eq!(health, Health::default());
    }
}
