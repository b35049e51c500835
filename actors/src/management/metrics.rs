//! The metrics of a node in OpenMetrics text, read from its books when they are asked for.

mod links;

use crate::gateway::GatewayBooks;
use crate::gateway::meter::{CLASSES, Reading, bucket_end};
use odeon::node::ServiceStatus;
use odeon::remote::LinkStatus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Error};
use std::time::Duration;

/// The media type of OpenMetrics text.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is told at one moment.
pub(crate) struct Snapshot {
    pub(crate) services: Vec<ServiceStatus>,
    /// None: the node is in no cluster.
    pub(crate) links: Option<Vec<LinkStatus>>,
    pub(crate) gateway: Option<GatewayBooks>,
    pub(crate) ready: bool,
    pub(crate) uptime: Duration,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) log_lines_dropped: Option<u64>,
    pub(crate) node: String,
}

impl Snapshot {
    /// As text.
    pub(crate) fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.encode_node(&mut encoder)?;
        self.encode_services(&mut encoder)?;
        if let Some(links) = &self.links {
            links::encode(links, &mut encoder)?;
        }
        match &self.gateway {
            Some(books) => encode_gateway(books, &mut encoder),
            None => Ok(()),
        }
    }
}

fn count(metric: &mut MetricEncoder<'_>, value: u64) -> Result<(), Error> {
    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

/// A counter for each service: name, help, how to read it.
type ServiceCounter = (&'static str, &'static str, fn(&ServiceStatus) -> u64);

const SERVICE_COUNTERS: [ServiceCounter; 7] = [
    ("odeon_service_handled", "Handlers that ended", |s| s.meter.handled()),
    ("odeon_service_expired", "Messages whose deadline had passed before a handler began", |s| {
        s.meter.expired()
    }),
    ("odeon_service_cut_short", "Handlers that began and did not end: panicked, killed, overran", |s| {
        s.meter.cut_short()
    }),
    ("odeon_service_lost", "Messages that were let in and then refused: shed, or stopped", |s| {
        s.meter.lost()
    }),
    ("odeon_service_panics", "Activations ended by a panic", |s| s.meter.panics()),
    ("odeon_service_restarts", "Activations that began again after an abnormal end", |s| s.meter.restarts()),
    ("odeon_service_activations", "Activations that began", |s| s.meter.activations()),
];

impl Snapshot {
    fn encode_node(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let labels = [("node", self.node.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor("odeon_build", "What runs", None, MetricType::Info)?
            .encode_info(&labels)?;
        encoder
            .encode_descriptor("odeon_ready", "1 when the node takes requests", None, MetricType::Gauge)?
            .encode_gauge(&u64::from(self.ready))?;
        encoder
            .encode_descriptor(
                "odeon_uptime",
                "Time since the node started",
                Some(&Unit::Seconds),
                MetricType::Gauge,
            )?
            .encode_gauge(&self.uptime.as_secs_f64())?;
        if let Some(bytes) = self.resident_bytes {
            let help = "Memory that the process holds";
            encoder
                .encode_descriptor("process_resident_memory", help, Some(&Unit::Bytes), MetricType::Gauge)?
                .encode_gauge(&bytes)?;
        }
        if let Some(dropped) = self.log_lines_dropped {
            let help = "Log lines that nobody could take in time, or that could not be written";
            let descriptor =
                encoder.encode_descriptor("odeon_log_lines_dropped", help, None, MetricType::Counter);
            count(&mut descriptor?, dropped)?;
        }
        Ok(())
    }

    fn encode_services(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let names: Vec<String> = self.services.iter().map(|s| s.description.name.to_string()).collect();
        let services = || names.iter().map(String::as_str).zip(&self.services);
        for (name, help, read) in SERVICE_COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (service, status) in services() {
                count(&mut metric.encode_family(&[("service", service)])?, read(status))?;
            }
        }
        let help = "Messages that were not executed";
        let mut metric =
            encoder.encode_descriptor("odeon_service_refused", help, None, MetricType::Counter)?;
        for (service, status) in services() {
            for (reason, refused) in status.meter.refused() {
                count(&mut metric.encode_family(&[("service", service), ("reason", reason)])?, refused)?;
            }
        }
        let help = "Time spent in handlers, as sampled";
        let unit = Some(&Unit::Seconds);
        let mut metric = encoder.encode_descriptor("odeon_service_busy", help, unit, MetricType::Counter)?;
        for (service, status) in services() {
            let labels = [("service", service)];
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&status.meter.busy().as_secs_f64(), None)?;
        }
        Ok(())
    }
}

fn encode_gateway(books: &GatewayBooks, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let Reading { classes, buckets, total } = books.requests();
    let mut metric =
        encoder.encode_descriptor("odeon_gateway_responses", "Responses", None, MetricType::Counter)?;
    for (class, value) in CLASSES.iter().zip(classes) {
        count(&mut metric.encode_family(&[("class", *class)])?, value)?;
    }
    let ended: Vec<(f64, u64)> = buckets
        .iter()
        .enumerate()
        .map(|(i, n)| (bucket_end(i).map_or(f64::INFINITY, |end| end.as_secs_f64()), *n))
        .collect();
    let help = "Time from a request's head to its response";
    let unit = Some(&Unit::Seconds);
    encoder
        .encode_descriptor("odeon_gateway_response_time", help, unit, MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(total.as_secs_f64(), buckets.iter().sum(), &ended, None)?;
    let connections = books.connections();
    encoder
        .encode_descriptor("odeon_gateway_connections", "Connections that are open", None, MetricType::Gauge)?
        .encode_gauge(&(connections.open() as u64))?;
    let counters = [
        ("odeon_gateway_connections_accepted", "Connections that were served", connections.accepted()),
        ("odeon_gateway_connections_refused", "Connections without room", connections.refused()),
    ];
    for (name, help, value) in counters {
        count(&mut encoder.encode_descriptor(name, help, None, MetricType::Counter)?, value)?;
    }
    Ok(())
}
