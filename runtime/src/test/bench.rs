//! A private little node for one service under test and what it depends on.

use crate::directory::ServiceKind;
use crate::host::{Executor, Host, Inline};
use crate::node::{App, Construct, Node, NodeConfig, ServiceOptions};
use crate::service::contract::{Contract, Service};
use crate::service::message::Access;
use crate::service::{Cx, StartError};
use odeon_core::ServiceName;
use parking_lot::Mutex;
use std::fmt::Display;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Longest orderly stop of a bench.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Hosts one service alone, under the name of its contract, on the current tokio runtime.
///
/// It is made once: when it panics it does not come back. Use [`Bench`] with a constructor to see it restart.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn host<S: Service>(service: S) -> Hosted<S::Contract> {
    let once = Mutex::new(Some(service));
    let make = move |_: Cx| {
        let service = once.lock().take();
        async move {
            service.ok_or_else(|| StartError::new("hosted as a value, so it cannot be started a second time"))
        }
    };
    Bench::new().host(S::Contract::NAME, make).await
}

/// A node under construction: what the service under test depends on, then the service itself.
///
/// Mistakes in a test's set-up (a name that is none, configuration that does not fit) panic with what is wrong.
pub struct Bench {
    app: App,
    config: NodeConfig,
    options: Option<ServiceOptions>,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// Nothing to depend on.
    pub fn new() -> Self {
        let name = "bench".parse().expect("five letters are a name");
        Self { app: App::new(), config: NodeConfig::named(name), options: None }
    }

    /// A dependency, most often a mock: `cx.service::<PaymentRef>("payment")` finds it. Each start of it is a
    /// clone of this value.
    #[must_use]
    pub fn service<S: Service + Clone>(mut self, name: &str, dependency: S) -> Self {
        self.app = self.app.singleton_with(name, options_for::<S>(), move || dependency.clone());
        self
    }

    /// A dependency with a key: `cx.entity::<CartRef>("cart", key)` finds a clone of this value for each key.
    #[must_use]
    pub fn entity<S: Service + Clone>(mut self, name: &str, dependency: S) -> Self {
        self.app = self.app.entity(name, move || dependency.clone());
        self
    }

    /// Anything else, registered as in a program.
    #[must_use]
    pub fn app(mut self, register: impl FnOnce(App) -> App) -> Self {
        self.app = register(self.app);
        self
    }

    /// The configuration of a service, in TOML.
    ///
    /// # Panics
    /// The text is no TOML, or the name is none.
    #[must_use]
    pub fn config(mut self, service: &str, section: &str) -> Self {
        let section = section.parse().unwrap_or_else(|e| panic!("the configuration of {service}: {e}"));
        self.config.services.insert(name(service), section);
        self
    }

    /// Who depends on the left name gets the right one.
    ///
    /// # Panics
    /// One of them is no name.
    #[must_use]
    pub fn bind(mut self, wanted: &str, provider: &str) -> Self {
        self.config.bindings.insert(name(wanted), name(provider));
        self
    }

    /// How the service under test runs. Without this: as a stateless service if its contract has only `&self`
    /// methods, as a singleton otherwise, as an entity if it has a key.
    #[must_use]
    pub fn options(mut self, options: ServiceOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// Hosts the service under test.
    ///
    /// # Panics
    /// The node does not start.
    pub async fn host<S, Marker>(self, name: &str, make: impl Construct<S, Marker>) -> Hosted<S::Contract>
    where
        S: Service,
    {
        let options = self.options.unwrap_or_else(options_for::<S>);
        let node = start(self.config, self.app.singleton_with(name, options, make)).await;
        let reference = node.service(name).unwrap_or_else(|e| refused(&e));
        Hosted { node, reference }
    }

    /// Hosts the service under test as the entity with this key.
    ///
    /// # Panics
    /// The node does not start.
    pub async fn host_entity<S, Marker>(
        self,
        name: &str,
        key: &str,
        make: impl Construct<S, Marker>,
    ) -> Hosted<S::Contract>
    where
        S: Service,
    {
        let options = self.options.unwrap_or_else(|| ServiceOptions::of(ServiceKind::Entity));
        let node = start(self.config, self.app.entity_with(name, options, make)).await;
        let reference = node.entity(name, key).unwrap_or_else(|e| refused(&e));
        Hosted { node, reference }
    }
}

/// A hosted service. Dereferences to its reference.
#[derive(Clone)]
pub struct Hosted<R> {
    node: Node,
    reference: R,
}

impl<R> Hosted<R> {
    /// The node that hosts it.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Stops the node in order. Returns how many activations had to be killed after ten seconds.
    pub async fn stop(self) -> usize {
        self.node.stop(STOP_WITHIN).await
    }
}

impl<R> Deref for Hosted<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.reference
    }
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap_or_else(|e| refused(&e))
}

fn refused(problem: &dyn Display) -> ! {
    panic!("the service cannot be hosted: {problem}")
}

/// One instance, with the concurrency that its contract calls for.
fn options_for<S: Service>() -> ServiceOptions {
    let shared = S::Contract::METHODS.iter().all(|method| method.access == Access::Shared);
    ServiceOptions::of(if shared { ServiceKind::Stateless } else { ServiceKind::Singleton })
}

async fn start(config: NodeConfig, app: App) -> Node {
    let runtime = tokio::runtime::Handle::current();
    let host = Host { executors: vec![Executor::new(runtime, 0)], blocking: Arc::new(Inline), seed: 1 };
    Node::start(host, config, app).await.unwrap_or_else(|e| refused(&e))
}
