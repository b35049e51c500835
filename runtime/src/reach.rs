//! Turns that events take now and then: refusals, retries, sessions that go on or are given up. A simulation counts
//! them, for what it never came to it says nothing about; and whoever wonders about a node can have them logged, with
//! the filter `odeon::reach=trace`. Where nobody wants to know one costs a comparison.

/// The target of their log lines.
pub const TARGET: &str = "odeon::reach";

macro_rules! points {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) const $name: &str = $text;)*
        /// All of them, each in words behind the name of what it belongs to.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

points! {
    RENEWED_ELSEWHERE = "members: a lease was renewed with another leader than the one that was asked first";
    RENEWED_TOGETHER = "members: a lease was renewed a little before its time, together with another one";

    CAMPAIGN_LEFT = "elections: a replica did not ask to be elected, for it had just backed another one";
    CAMPAIGN_HELD = "elections: a candidate was not backed by another one with a greater id";

    HELD = "placement: a message waited, for its receiver was nowhere";
    FORWARDED = "placement: a message went on to where its receiver is by now";
    BEHIND_ITS_SENDER = "placement: a message waited for news that its sender had";
    SPILLED = "balancing: no instance here was ready, and one of another node was called";
    CROWDED_OUT = "balancing: the instances here were crowded, and one of another node was called";
    PASSED_BY = "balancing: a node whose instances are not ready was seen";
    HANDOFF_PUT_OFF = "placement: a node gave nothing away yet, for the next owner could not be reached";
    HANDOFF = "placement: a node began to give slots away";
    FENCED = "placement: an activation found that its node's lease has ended";
    LAPSED = "placement: a lease had ended and was given anew before anybody looked";
    HANDED = "placement: slots went from one living node to another";
    HANDOFF_RETRIED = "placement: a hand-off did not work at once";
    SLOTS_LOST = "placement: activations ended that their node might not have any more";
    ASKED_AGAIN = "placement: a call by name was sent again, for it was not executed";
    SINGLETON_BEGAN = "placement: a singleton began at its node";

    DIALED_TWICE = "links: a dial found that there is a link already";
    PORCH_FULL = "links: a dialer found no place to wait";
    PROVES_ADDRESS = "links: a dialer had to show where it is";
    TURNED_AWAY = "links: a dialer was turned away";
    GAVE_WAY = "links: a connection gave way to one that the peer dialed";
    BEGAN = "links: a session began";
    WENT_ON = "links: a session went on over another connection";
    FORGOTTEN = "links: a peer had forgotten the session, another one began";
    RESTARTED = "links: a later incarnation took the place of a peer";
    GIVEN_UP = "links: a peer out of reach was given up";
    BEGAN_ANEW = "links: a message began another session with a peer that was given up";
    CAST_OUT = "links: a peer was removed by its cluster";
    TWO_CHOICES = "links: a message went to a node with less under way than the one whose turn it was";
    SUSPECTED = "links: a peer became suspect";
    TRUSTED = "links: a suspect peer was heard again";
    LATE_LOOK = "links: a node looked at its peers so late that it distrusts itself";
    SILENT = "links: a connection over which nothing came was closed";

    KNOWN_FRAME = "delivery: a frame was dropped that an earlier connection had brought";
    SENT_AGAIN = "delivery: frames were sent again over another connection";
    AGED = "delivery: the wait for a connection was taken off deadlines";
    LANE_FULL = "delivery: a lane was full";
    NO_CREDIT = "delivery: the credit of a receiver was used up";
    NARROWED = "delivery: a full mailbox narrowed a receiver's credit";
    RENUMBERED = "delivery: the number of a receiver was given to another one";
    CALLS_FULL = "delivery: as many calls as may be were under way";
    TAKEN_BACK = "delivery: a cancelled call was taken back before it was sent";
    CANCELLED = "delivery: a handler learned that its caller has left";
    ANSWER_LOST = "delivery: an answer lost its body, for its caller's node does not read what waits";
    LATE_ANSWER = "delivery: an answer came for which nobody waited any more";
    NEVER_SENT = "delivery: a call was never sent before its session ended";
    LINK_LOST = "delivery: what became of a call is unknown, for its session ended";
    CASTS_LOST = "delivery: messages were lost with their session";

    APART = "bodies: a large body went ahead of its frame";
    APART_AGAIN = "bodies: a large body went again over another connection";
    APART_KNOWN = "bodies: a large body came that was there already";
    APART_FORGOTTEN = "bodies: a large body was taken back before it was sent";
    APART_FULL = "bodies: too many large bodies waited";
    NO_ROOM = "bodies: a large body waited for room at its receiver";
    BEHIND = "bodies: a message waited behind one with a large body";

    TOLD = "watches: an end was told";
    NODE_DOWN = "watches: the end of a node was told";
    SAID_AGAIN = "watches: what is watched was said again over another connection";
    WITHDRAWN = "watches: a watch was taken back";
    CROSSED = "watches: an end crossed the withdrawal of its watch";
    SEVERED = "watches: the end of one side of a link ended the other";

    HEARD_OF = "gossip: a node was heard of";
    UNHEARD = "gossip: a node was not heard of any more";
    DIALED = "gossip: a node was dialed of which others told";
    DATAGRAM = "gossip: a message went as a datagram";
    NO_OUTLET = "gossip: a message was dropped, for the node it was for was not connected";
    ASKED = "gossip: a list that did not come was asked for";

    MEMBERS_MISSED = "topics: what was heard of a list goes on from what was not";

    RELAYED = "clients: a message was passed on to another node";
    RELAY_WAITED = "clients: a message waited at the node that passes it on";
    LEFT_IN_LINE = "clients: the caller of a message left while that waited to be passed on";
    CLIENT_GONE = "clients: a client that did not come back was forgotten";
}

/// Notes that events have come to a point.
macro_rules! reached {
    ($point:ident) => {
        tracing::trace!(target: $crate::reach::TARGET, message = $crate::reach::$point)
    };
}
pub(crate) use reached;
