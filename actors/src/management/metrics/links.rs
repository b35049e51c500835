//! The links of a node as metrics. Their labels are bounded: peers are members of the cluster, and the reasons that a
//! peer may give are counted.

use super::count;
use odeon::remote::{LinkStatus, Liveness};
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt::Error;

/// A number for each link: name, help, how to read it.
type LinkNumber = (&'static str, &'static str, fn(&LinkStatus) -> u64);

const COUNTERS: [LinkNumber; 6] = [
    ("odeon_link_sent", "Messages sent to the peer", |link| link.sent),
    ("odeon_link_handled", "Messages with which a handler of the peer began", |link| link.handled),
    ("odeon_link_expired", "Messages that expired at the peer before a handler began", |link| link.expired),
    ("odeon_link_gossip_sent", "Messages of gossip sent to the peer", |link| link.gossip_sent),
    (
        "odeon_link_gossip_dropped",
        "Messages of gossip for which there was no connection or no room",
        |link| link.gossip_dropped,
    ),
    ("odeon_link_gossip_bad", "Messages of gossip from the peer that made no sense", |link| link.gossip_bad),
];

const GAUGES: [LinkNumber; 6] = [
    ("odeon_link_connected", "1 when there is a connection to the peer", |link| u64::from(link.connected)),
    ("odeon_link_alive", "1 when gossip says that the peer lives", |link| {
        u64::from(link.liveness == Liveness::Alive)
    }),
    ("odeon_link_suspect", "1 while this node suspects the peer, for nothing comes from it", |link| {
        u64::from(link.suspect.is_some())
    }),
    ("odeon_link_open", "Messages of which nothing has been heard yet", |link| link.open),
    ("odeon_link_queued_frames", "Frames that wait or are not acknowledged", |link| link.queued),
    ("odeon_link_calls", "Calls that wait for an answer", |link| link.calls as u64),
];

pub(super) fn encode(links: &[LinkStatus], encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let named: Vec<(&str, &LinkStatus)> = links.iter().map(|link| (link.node.name.as_str(), link)).collect();
    for (name, help, read) in COUNTERS {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (peer, link) in &named {
            count(&mut metric.encode_family(&[("peer", *peer)])?, read(link))?;
        }
    }
    for (name, help, read) in GAUGES {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (peer, link) in &named {
            metric.encode_family(&[("peer", *peer)])?.encode_gauge(&read(link))?;
        }
    }
    encode_reasons(&named, encoder)?;
    let (help, unit) = ("Bytes of frames that wait or are not acknowledged", Some(&Unit::Bytes));
    let mut metric = encoder.encode_descriptor("odeon_link_queued", help, unit, MetricType::Gauge)?;
    for (peer, link) in &named {
        metric.encode_family(&[("peer", *peer)])?.encode_gauge(&(link.queued_bytes as u64))?;
    }
    let (help, unit) = ("Round trip as QUIC has measured it", Some(&Unit::Seconds));
    let mut metric = encoder.encode_descriptor("odeon_link_round_trip", help, unit, MetricType::Gauge)?;
    for (peer, link) in &named {
        if let Some(time) = link.round_trip {
            metric.encode_family(&[("peer", *peer)])?.encode_gauge(&time.as_secs_f64())?;
        }
    }
    Ok(())
}

fn encode_reasons(named: &[(&str, &LinkStatus)], encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let help = "Messages that the peer did not execute";
    let mut metric = encoder.encode_descriptor("odeon_link_refused", help, None, MetricType::Counter)?;
    for (peer, link) in named {
        for (reason, refused) in &link.refused {
            let labels = [("peer", *peer), ("reason", reason.as_str())];
            count(&mut metric.encode_family(&labels)?, *refused)?;
        }
    }
    let help = "Messages of which nothing will be heard";
    let mut metric = encoder.encode_descriptor("odeon_link_lost", help, None, MetricType::Counter)?;
    for (peer, link) in named {
        for (reason, lost) in &link.lost {
            count(&mut metric.encode_family(&[("peer", *peer), ("reason", reason.name())])?, *lost)?;
        }
    }
    Ok(())
}
