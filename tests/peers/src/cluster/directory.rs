//! Five nodes in this process, each on an executor of its own, all linked: until all of them know a service that one of
//! them has just got.

use super::Settings;
use super::report::{Report, Row, Wanted};
use crate::executors::Executors;
use crate::links::odeon::{authority, authorize, node};
use crate::services::Polite;
use crate::time::Stopwatch;
use anyhow::{Context, Result, bail};
use odeon::Node;
use odeon::core::ServiceName;
use odeon::prelude::App;
use odeon::remote::{Links, Transport};
use std::sync::Arc;
use std::time::Duration;

const NODES: usize = 5;
/// Services that are added, one after another.
const SERVICES: usize = 120;
const SERVICES_QUICK: usize = 10;
/// All know each other, or a service, within this time.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Before the next one, by chance: it meets whatever nodes tell each other in turns at any moment of that.
const PAUSE_MAX: Duration = Duration::from_millis(500);

struct Member {
    executors: Arc<Executors>,
    node: Node,
    links: Links,
}

impl Member {
    fn knows(&self, name: &ServiceName) -> bool {
        self.links.services().iter().any(|service| service.name == *name)
    }
}

/// Adds services and waits until each is known to all.
///
/// # Errors
/// The nodes do not find each other, or one does not hear of a service.
pub fn directory(settings: &Settings) -> Result<Report> {
    let members = members()?;
    let count = if settings.quick { SERVICES_QUICK } else { SERVICES };
    let mut chance = fastrand::Rng::with_seed(settings.seed);
    let mut times = Vec::new();
    for number in 0..count {
        std::thread::sleep(PAUSE_MAX.mul_f64(chance.f64()));
        let (index, name) = (number % NODES, format!("extra-{number}"));
        let (member, app) = (&members[index], App::new().service(&name, Polite::default));
        let known: ServiceName = name.parse()?;
        let node = member.node.clone();
        let clock = Stopwatch::start();
        member.executors.run(0, async move { node.add_services(app).await })?;
        let mut others: Vec<&Member> = members.iter().collect();
        others.remove(index);
        until(clock, || {
            others.retain(|member| !member.knows(&known));
            others.is_empty()
        })
        .with_context(|| format!("{name} is not known to all"))?;
        times.push(clock.elapsed());
    }
    let row =
        Row::milliseconds("a new service is known to all of five nodes, ms", Wanted::P99(1_000.0), &times);
    Ok(Report { rows: vec![row], notes: Vec::new() })
}

fn members() -> Result<Vec<Member>> {
    let folder = tempfile::tempdir()?;
    authorize(folder.path())?;
    let authority = Arc::new(authority(folder.path())?);
    let mut members: Vec<Member> = Vec::new();
    for index in 0..NODES {
        let executors = Arc::new(Executors::start(1)?);
        let (ours, authority) = (executors.clone(), authority.clone());
        let peers: Vec<_> = members.iter().map(|member| member.links.local_address()).collect();
        let (node, links) = executors.run(0, async move {
            let name = format!("node-{index}");
            let (node, links) = node(&name, &authority, &ours, Transport::default(), App::new()).await?;
            for peer in peers {
                links.connect(peer).await?;
            }
            Ok::<_, anyhow::Error>((node, links))
        })?;
        members.push(Member { executors, node, links });
    }
    let is_linked =
        |member: &Member| member.links.status().iter().filter(|link| link.connected).count() == NODES - 1;
    until(Stopwatch::start(), || members.iter().all(is_linked)).context("five nodes are not linked")?;
    Ok(members)
}

fn until(clock: Stopwatch, mut is_so: impl FnMut() -> bool) -> Result<()> {
    while !is_so() {
        if clock.elapsed() > KNOWN_WITHIN {
            bail!("not within {KNOWN_WITHIN:?}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
