//! The socket of an endpoint: the system's, but for the room that quinn makes to receive with it.

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Packets that the system hands over as one are together no longer than a packet of IP can be, whatever their size.
const TRAIN_MAX: usize = u16::MAX as usize;

/// quinn makes room for as many packets of the largest size as the system may ever join, 64, and that 32 times: 13 MB
/// for packets of 6,500 bytes, which may all become resident. Joined packets never need as much.
#[derive(Debug)]
pub(super) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    segments_max: usize,
}

impl Socket {
    /// `packet_max` is the largest packet that is received, in bytes of UDP payload.
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, packet_max: u16) -> Self {
        let enough = TRAIN_MAX.div_ceil(usize::from(packet_max.max(1)));
        Self { segments_max: inner.max_receive_segments().min(enough), inner }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.segments_max
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
