//! The lanes towards a peer. Most lanes of most links are never used: each is made when it is, and a task that writes it
//! when a connection has something of it to send.

use super::{Lane, State};
use crate::reach::reached;
use crate::remote::target::LANES;
use odeon_core::Refusal;
use odeon_core::delivery::outbound::NeverSent;
use odeon_core::delivery::{Books, Loss};
use odeon_core::wire::session::LaneCounts;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// All lanes of a session.
#[derive(Default)]
pub(in crate::remote) struct Lanes {
    made: [OnceLock<Box<Lane>>; LANES],
    now: Mutex<Now>,
}

/// How a lane begins that is made now.
#[derive(Clone, Default)]
pub(super) struct Now {
    pub(super) connected: Connected,
    /// The session has ended.
    pub(super) ended: Option<Refusal>,
}

/// A connection, as far as lanes know it.
#[derive(Clone, Default)]
pub(in crate::remote) struct Connected {
    /// Counts them; 0: there was none yet.
    pub(super) number: u64,
    /// A lane has something to send and no writer.
    unwritten: Arc<Notify>,
}

/// What the writer does that this connection has for the lane.
#[derive(PartialEq)]
pub(super) enum Writer {
    /// There is none, and nothing to write.
    None,
    /// There is none yet.
    Wanted,
    /// It has found nothing, and waits.
    Waits,
    /// It writes, or is about to.
    Runs,
}

impl Connected {
    /// A lane has something to send and no writer.
    fn want_writer(&self) {
        self.unwritten.notify_one();
    }

    /// Waits until a lane may have something to send and no writer.
    pub(in crate::remote) async fn unwritten(&self) {
        self.unwritten.notified().await;
    }
}

impl Lanes {
    /// One of them.
    #[inline]
    pub(in crate::remote) fn get(&self, index: usize) -> &Lane {
        match self.made[index].get() {
            Some(lane) => lane,
            None => self.make(index),
        }
    }

    /// One of them, if it was used.
    pub(in crate::remote) fn made_at(&self, index: usize) -> Option<&Lane> {
        self.made[index].get().map(|lane| &**lane)
    }

    #[cold]
    fn make(&self, index: usize) -> &Lane {
        // what ends all lanes, or goes on with them, comes before or finds this one
        let now = self.now.lock();
        self.made[index].get_or_init(|| Box::new(Lane::new(index as u8, &now)))
    }

    /// Those that were ever used.
    pub(in crate::remote) fn used(&self) -> impl Iterator<Item = &Lane> {
        self.made.iter().filter_map(OnceLock::get).map(|lane| &**lane)
    }

    /// A new connection goes on where the receiver is.
    ///
    /// # Errors
    /// The receiver cannot have that many frames.
    pub(in crate::remote) fn resume(&self, received: &LaneCounts) -> Result<Connected, NeverSent> {
        let mut now = self.now.lock();
        let connected = Connected { number: now.connected.number + 1, unwritten: Arc::default() };
        now.connected = connected.clone();
        for (index, lane) in self.made.iter().enumerate() {
            let claimed = received.of(index);
            match lane.get() {
                Some(lane) => lane.resume(claimed, &connected)?,
                None if claimed > 0 => return Err(NeverSent { claimed, sent: 0 }),
                None => {}
            }
        }
        Ok(connected)
    }

    /// Lanes that have something to send and no writer, and the number of the frame that each begins with. They are taken
    /// to have one from now on.
    pub(in crate::remote) fn to_write(&self, connected: &Connected) -> Vec<(usize, u64)> {
        let begin = |lane: &Lane| Some((usize::from(lane.number), lane.begin_writer(connected.number)?));
        self.used().filter_map(begin).collect()
    }

    /// The session has ended: what was not acknowledged is lost. Gives back the first frame of each lane that certainly
    /// never arrived.
    pub(in crate::remote) fn end(&self, refusal: &Refusal, why: Loss) -> [u64; LANES] {
        self.now.lock().ended = Some(refusal.clone());
        self.made.each_ref().map(|lane| lane.get().map_or(0, |lane| lane.end(refusal.clone(), why)))
    }

    /// What became of all that was sent.
    pub(in crate::remote) fn books(&self) -> Books {
        let mut all = Books::default();
        self.used().for_each(|lane| all.add(&lane.books()));
        all
    }
}

impl Lane {
    /// A new connection goes on where the receiver is.
    ///
    /// # Errors
    /// The receiver cannot have that many frames.
    fn resume(&self, received: u64, connected: &Connected) -> Result<(), NeverSent> {
        let mut state = self.state.lock();
        let resumed = state.out.resume(received)?;
        if resumed.again > 0 {
            reached!(SENT_AGAIN);
        }
        state.connected = connected.clone();
        state.first = resumed.first;
        let has_frames = state.frames > 0 || !state.out.is_empty();
        state.writer = if has_frames { Writer::Wanted } else { Writer::None };
        // what the receiver has had since it last said so has made room
        let woken = state.waiting.take();
        drop(state);
        woken.wake();
        Ok(())
    }

    /// There is something to write.
    pub(super) fn wake_writer(&self, state: &mut State) {
        match state.writer {
            Writer::Wanted | Writer::Runs => {}
            Writer::Waits => {
                state.writer = Writer::Runs;
                self.wake.notify_one();
            }
            Writer::None => {
                state.writer = Writer::Wanted;
                state.connected.want_writer();
            }
        }
    }

    /// Whether a writer is to begin, and with which frame.
    fn begin_writer(&self, connection: u64) -> Option<u64> {
        let mut state = self.state.lock();
        let begins = state.connected.number == connection && state.writer == Writer::Wanted;
        if begins {
            state.writer = Writer::Runs;
        }
        begins.then_some(state.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon_core::wire::envelope::{CallId, Content, Head};

    fn write(lane: &Lane) {
        let content = Content::Cancel { call: CallId(1) };
        let head = Head { criticality: Default::default(), encoding: Default::default(), content };
        lane.reply(&head, &[]).expect("it fits a frame");
    }

    #[test]
    fn a_lane_is_made_when_it_is_used_and_has_a_writer_once_there_is_something_to_write() {
        let lanes = Lanes::default();
        let first = lanes.resume(&LaneCounts::default()).expect("nothing was received");
        assert_eq!((lanes.used().count(), lanes.to_write(&first)), (0, vec![]));
        write(lanes.get(3));
        write(lanes.get(3));
        assert_eq!((lanes.used().count(), lanes.to_write(&first)), (1, vec![(3, 0)]));
        write(lanes.get(3));
        assert_eq!(lanes.to_write(&first), [], "it has one");
        let second = lanes.resume(&LaneCounts::default()).expect("nothing was received");
        write(lanes.get(5));
        assert_eq!(lanes.to_write(&first), [], "that connection is over");
        assert_eq!(lanes.to_write(&second), [(3, 0), (5, 0)], "what waits, and what is new");
    }

    #[test]
    fn frames_of_a_lane_that_was_never_used_cannot_have_been_received() {
        let received = LaneCounts::new(vec![0, 0, 1]).expect("there are that many lanes");
        let resumed = Lanes::default().resume(&received).map(|connected| connected.number);
        assert_eq!(resumed, Err(NeverSent { claimed: 1, sent: 0 }));
    }

    #[test]
    fn a_lane_that_is_made_after_its_session_has_ended_takes_nothing() {
        let lanes = Lanes::default();
        assert_eq!(lanes.end(&Refusal::Expired, Loss::Link), [0; LANES]);
        write(lanes.get(0));
        assert_eq!(lanes.get(0).queue(), (0, 0));
    }
}
