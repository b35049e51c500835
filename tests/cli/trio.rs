//! Three nodes that are members of a cluster, at addresses that they keep when they are started again.

use crate::stage::{Place, Running, at_last, json};
use std::fs;

/// What they are called.
pub(crate) const ALL: [&str; 3] = ["north", "south", "east"];
/// Their configuration, beside what their addresses are.
const CONFIG: &str = "nodes.toml";
const FREE: &str = "127.0.0.1:0";

/// They end with their test.
pub(crate) struct Trio {
    pub(crate) place: Place,
    running: Vec<Running>,
    /// Where they serve HTTP.
    pub(crate) https: [String; 3],
    links: [String; 3],
}

impl Trio {
    /// A cluster that all of them are members of. `config` is what its file says.
    pub(crate) fn begin(test: &str, config: &str) -> Self {
        let place = Place::new(test);
        place.run(&["cluster", "init", "--name", "shop", "--directory", "c", "--nodes", &ALL.join(",")]).ok();
        place.write(CONFIG, config);
        let first = start(&place, ALL[0], FREE, FREE, &[]);
        let peer = whereabouts(&place, ALL[0], "links");
        let others = ALL[1..].iter().map(|name| start(&place, name, FREE, FREE, std::slice::from_ref(&peer)));
        let running: Vec<_> = std::iter::once(first).chain(others).collect();
        for node in &running {
            node.until_error("the node is up");
        }
        let [https, links] = ["http", "links"].map(|what| ALL.map(|name| whereabouts(&place, name, what)));
        Self { place, running, https, links }
    }

    /// One of the processes.
    pub(crate) fn node(&self, at: usize) -> &Running {
        &self.running[at]
    }

    /// One of them stops in order.
    pub(crate) fn stop(&self, at: usize) {
        self.place.run(&["stop", "--dir", ALL[at]]).ok();
    }

    /// One of them, whose process is over or ends now, is started again, and is up and ready.
    pub(crate) fn start_again(&mut self, at: usize) {
        self.running[at] = start(&self.place, ALL[at], &self.https[at], &self.links[at], &self.links);
        self.running[at].until_error("the node is up");
        self.place.run(&["status", "--dir", ALL[at]]).ok();
    }
}

fn start(place: &Place, name: &str, http: &str, links: &str, peers: &[String]) -> Running {
    let credentials = format!("c/nodes/{name}");
    let mut command = place.command(&["node", "--name", name, "--dir", name, "--credentials", &credentials]);
    command.args(["--config", CONFIG, "--http", http, "--management", FREE, "--cluster-listen", links]);
    command.args(ALL.iter().flat_map(|founder| ["--founder", founder]));
    command.args(peers.iter().flat_map(|peer| ["--peer", peer]));
    Running::start(command)
}

/// What a node's directory says of it: `http`, `links`, `pid`.
pub(crate) fn whereabouts(place: &Place, name: &str, what: &str) -> String {
    let look = || {
        place.run(&["status", "--dir", name]);
        fs::read_to_string(place.path(name).join("node.json")).ok()
    };
    let here = json(&at_last("it says where it is", look));
    here[what].as_str().map_or_else(|| here[what].to_string(), ToOwned::to_owned)
}
