//! What the wire brings: segments, and the news that a peer is out of reach.

use super::endpoint::{Endpoint, Owner, State};
use crate::descriptor::Kind;
use crate::kernel::Kernel;
use crate::ports::Transport;
use crate::trace::Happening;
use crate::wire::{Payload, Segment};
use libc::c_int;
use std::net::SocketAddrV4;

impl Kernel {
    /// The connection ends with this error.
    fn fail(&mut self, number: u64, error: c_int) {
        let Some(end) = self.connections.endpoints.get_mut(&number) else { return };
        if end.state == State::Dead {
            return;
        }
        end.error = error;
        end.outgoing.clear();
        if end.state == State::Established {
            end.state = State::Dead;
        }
        if end.owner == Owner::Nobody {
            self.connections.endpoints.remove(&number);
        } else {
            self.mark_endpoint(number);
        }
    }

    /// The sender's kernel gave up retransmitting.
    pub fn time_out(&mut self, number: u64) {
        self.fail(number, libc::ETIMEDOUT);
    }

    /// Whether an endpoint still exists; a dead machine's do not, and nobody retransmits for them.
    pub fn has_endpoint(&self, number: u64) -> bool {
        self.connections.endpoints.contains_key(&number)
    }

    /// A segment sent by endpoint `direction` reaches the host of its other end. A SYN comes back when the
    /// listener's queue is full, to be sent again.
    ///
    /// # Errors
    /// The segment that could not be taken now.
    pub fn deliver_segment(
        &mut self,
        direction: u64,
        host: u32,
        source: SocketAddrV4,
        destination: SocketAddrV4,
        segment: Segment,
    ) -> Result<(), Segment> {
        let number = direction ^ 1;
        let words = [direction, segment.wire_length() as u64];
        self.record_on(Some(host), Happening::Received, words, || {
            format!("received tcp{direction} {segment}")
        });
        if segment == Segment::Syn {
            return self.deliver_syn(number, host, source, destination);
        }
        let Some(end) = self.connections.endpoints.get_mut(&number) else {
            if !matches!(segment, Segment::Rst | Segment::Fin | Segment::Window(_)) {
                self.emit(host, destination, source, Payload::Segment(number, Segment::Rst));
            }
            return Ok(());
        };
        match segment {
            Segment::SynAck => {
                end.state = State::Established;
                end.credit = self.buffer_max;
                self.mark_endpoint(number);
                self.pump(number);
            }
            Segment::Data(_) if end.state == State::Dead => {}
            Segment::Data(_) if end.owner == Owner::Nobody => {
                self.say(number, Segment::Rst);
                self.connections.endpoints.remove(&number);
            }
            Segment::Data(bytes) if end.read_shut => end.consumed += bytes.len(),
            Segment::Data(bytes) => {
                end.incoming_bytes += bytes.len();
                end.incoming.push_back(bytes);
                self.mark_endpoint(number);
            }
            Segment::Window(bytes) => {
                end.credit += bytes;
                self.pump(number);
            }
            Segment::Fin => {
                end.fin_received = true;
                self.mark_endpoint(number);
                self.forget_if_done(number);
            }
            Segment::Rst => {
                let connecting = end.state == State::Connecting;
                self.fail(number, if connecting { libc::ECONNREFUSED } else { libc::ECONNRESET });
            }
            Segment::Syn => {}
        }
        Ok(())
    }

    fn deliver_syn(
        &mut self,
        number: u64,
        host: u32,
        source: SocketAddrV4,
        destination: SocketAddrV4,
    ) -> Result<(), Segment> {
        let holder = self.holder(host, Transport::Tcp, source, destination);
        let listening = holder.filter(|object| matches!(self.table.object(*object).kind, Kind::Listener(_)));
        let Some(object) = listening else {
            self.emit(host, destination, source, Payload::Segment(number, Segment::Rst));
            return Ok(());
        };
        let Kind::Listener(listener) = &mut self.table.object_mut(object).kind else { return Ok(()) };
        if listener.waiting.len() >= listener.waiting_max {
            return Err(Segment::Syn);
        }
        listener.waiting.push_back(number);
        let mut end = Endpoint::new(host, destination, source, State::Established, Owner::Queue(object));
        end.credit = self.buffer_max;
        self.connections.endpoints.insert(number, end);
        self.say(number, Segment::SynAck);
        self.mark(object);
        Ok(())
    }
}
