//! A network of its own: a switch and what is plugged into it, each in a network namespace. All of it goes when its
//! test ends.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The namespace of the switch.
pub(crate) const SWITCH: &str = "switch";
/// Makes it a failure that there can be no namespaces.
const REQUIRED: &str = "ODEON_REQUIRE_NAMESPACES";
/// What the plug of a host is called inside.
const PLUG: &str = "eth0";

/// Where a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// At the switch: packets vanish, and nobody is told.
    Cable,
    /// At the host: it has no way out, and the system tells whoever sends.
    Interface,
}

/// A switch and hosts.
pub(crate) struct Net {
    /// Begins the name of each namespace: nobody else's does.
    prefix: String,
    hosts: Vec<&'static str>,
    /// Namespaces that exist.
    made: Vec<String>,
}

impl Net {
    /// Builds it for a test. None: this machine has no namespaces for us, which is said.
    pub(crate) fn of(test: &str, hosts: &[&'static str]) -> Option<Rc<Self>> {
        let problem = match Self::build(hosts) {
            Ok(net) => return Some(Rc::new(net)),
            Err(problem) => problem,
        };
        let required = std::env::var_os(REQUIRED).is_some_and(|set| set != "0" && !set.is_empty());
        assert!(!required, "{REQUIRED} is set, but there are no network namespaces: {problem}");
        say(&format!("SKIPPED: the test {test:?} of processes in network namespaces: {problem}"));
        None
    }

    /// Builds it.
    ///
    /// # Errors
    /// What this machine does not let anybody do, for people.
    fn build(hosts: &[&'static str]) -> Result<Self, String> {
        static BUILT: AtomicU32 = AtomicU32::new(0);
        let number = BUILT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("odeon-{}-{number}", std::process::id());
        let mut net = Self { prefix, hosts: hosts.to_vec(), made: Vec::new() };
        net.add_namespace(SWITCH)?;
        let switch = net.namespace(SWITCH);
        ip(&["-n", &switch, "link", "add", "bridge0", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "dev", "bridge0", "up"])?;
        for host in hosts {
            net.add_namespace(host)?;
            let inside = net.namespace(host);
            let to_host = ["type", "veth", "peer", "name", PLUG, "netns", &inside];
            ip(&[&["-n", &switch, "link", "add", host][..], &to_host].concat())?;
            ip(&["-n", &switch, "link", "set", "dev", host, "master", "bridge0", "up"])?;
            let address = format!("{}/24", net.address(host));
            ip(&["-n", &inside, "address", "add", &address, "dev", PLUG])?;
            ip(&["-n", &inside, "link", "set", "dev", PLUG, "up"])?;
        }
        Ok(net)
    }

    fn add_namespace(&mut self, place: &str) -> Result<(), String> {
        let name = self.namespace(place);
        ip(&["netns", "add", &name])?;
        self.made.push(name.clone());
        ip(&["-n", &name, "link", "set", "dev", "lo", "up"])
    }

    fn namespace(&self, place: &str) -> String {
        format!("{}-{place}", self.prefix)
    }

    /// The address of a host.
    pub(crate) fn address(&self, host: &str) -> Ipv4Addr {
        let at = self.hosts.iter().position(|known| *known == host).expect("a host of this network");
        Ipv4Addr::new(10, 83, 7, 1 + u8::try_from(at).expect("few hosts"))
    }

    /// A program, to be run at a host.
    pub(crate) fn command(&self, host: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host), program]);
        command
    }

    /// Takes the link of a host down.
    pub(crate) fn cut(&self, host: &str, cut: Cut) {
        self.set(host, cut, "down");
    }

    /// Takes it up again.
    pub(crate) fn mend(&self, host: &str, cut: Cut) {
        self.set(host, cut, "up");
    }

    fn set(&self, host: &str, cut: Cut, state: &str) {
        let (place, device) = match cut {
            Cut::Cable => (SWITCH, host),
            Cut::Interface => (host, PLUG),
        };
        let set = ip(&["-n", &self.namespace(place), "link", "set", "dev", device, state]);
        set.expect("what was made can be changed");
    }

    /// The namespace of a host, or of the switch, as a file.
    pub(crate) fn path(&self, place: &str) -> PathBuf {
        Path::new("/run/netns").join(self.namespace(place))
    }

    /// Does something at a host, or at the switch. What it opens there stays there.
    pub(crate) fn at<T: Send>(&self, place: &str, act: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.path(place)).expect("it was made");
        // a thread of its own, for no other may be moved
        std::thread::scope(|threads| {
            let moved = threads.spawn(|| {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(namespace.as_fd(), network).expect("who makes one may enter it");
                act()
            });
            moved.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.made {
            // interfaces go with their namespace
            if let Err(problem) = ip(&["netns", "delete", name]) {
                let _ = writeln!(std::io::stderr(), "{problem}");
            }
        }
    }
}

/// Says something to whoever runs the tests. Not by eprintln!: what is printed by tests that pass is not shown.
pub(crate) fn say(words: &str) {
    let mut out = std::io::stderr();
    out.write_all(format!("{words}\n").as_bytes()).expect("there is a standard error");
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let typed = || format!("ip {}", arguments.join(" "));
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("{}: {error}", typed()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", typed(), String::from_utf8_lossy(&output.stderr).trim())),
    }
}
