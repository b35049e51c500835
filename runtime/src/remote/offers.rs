//! What this node offers to others: a numbered list that only grows. A service's position is its number, which it
//! keeps as long as the node lives.

use super::control::{self, Control, ControlError, Offer, Services};
use crate::directory::{ServiceDescription, ServiceKind};
use crate::node::NodeInner;
use odeon_core::ServiceName;
use parking_lot::Mutex;
use std::sync::Arc;

/// The services of a node do not fit into one message to its peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the list of the node's {services} services and their methods cannot be told to other nodes: {problem}. Spread \
     them over more nodes"
)]
pub struct TooManyServices {
    /// How many there are.
    pub services: usize,
    /// What is wrong with the list.
    pub problem: String,
}

/// The list as it is now.
#[derive(Default)]
pub(super) struct Offers(Mutex<Arc<Offered>>);

/// One state of the list.
#[derive(Default)]
pub(super) struct Offered {
    names: Vec<ServiceName>,
    services: Services,
}

impl Offers {
    /// The list as its peers are told.
    pub(super) fn services(&self) -> Services {
        self.0.lock().services.clone()
    }

    /// Which state of the list this is: greater after each change.
    pub(super) fn number(&self) -> u64 {
        self.0.lock().services.number
    }

    /// As if a service had come of which nobody is told.
    #[cfg(test)]
    pub(super) fn grow(&self) {
        let mut current = self.0.lock();
        let mut services = current.services.clone();
        services.number += 1;
        *current = Arc::new(Offered { names: current.names.clone(), services });
    }

    /// The service of a number.
    pub(super) fn name(&self, number: u32) -> Option<ServiceName> {
        self.0.lock().names.get(number as usize).cloned()
    }

    /// Adds what the node has registered since, and says which services are not ready. True: something has changed, or the
    /// list is new.
    ///
    /// # Errors
    /// The list would not fit a message; then it stays as it was.
    pub(super) fn refresh(&self, node: &NodeInner) -> Result<bool, TooManyServices> {
        let mut current = self.0.lock();
        let described = node.registry.all().into_iter().map(|(dynamic, _)| dynamic.describe().clone());
        let new: Vec<_> = described.filter(|described| !current.names.contains(&described.name)).collect();
        if new.is_empty() && current.services.number > 0 {
            return Ok(rest(&mut current, node));
        }
        let mut next = Offered { names: current.names.clone(), services: current.services.clone() };
        next.services.number += 1;
        for described in new {
            next.services.services.push(offer(&described));
            next.names.push(described.name);
        }
        next.services.resting = resting(&next.names, node);
        check(&next.services)?;
        *current = Arc::new(next);
        Ok(true)
    }

    /// Says which of the services that peers were told of are not ready. True: that has changed.
    pub(super) fn refresh_ready(&self, node: &NodeInner) -> bool {
        rest(&mut self.0.lock(), node)
    }
}

fn rest(current: &mut Arc<Offered>, node: &NodeInner) -> bool {
    let resting = resting(&current.names, node);
    if resting == current.services.resting {
        return false;
    }
    let mut services = Services { resting, ..current.services.clone() };
    services.number += 1;
    *current = Arc::new(Offered { names: current.names.clone(), services });
    true
}

/// The numbers of those that are stateless and not ready.
fn resting(names: &[ServiceName], node: &NodeInner) -> Vec<u32> {
    let is_ready = |name| node.registry.dynamic(name).is_none_or(|service| service.is_ready());
    (0..).zip(names).filter(|(_, name)| !is_ready(name)).map(|(number, _)| number).collect()
}

impl Offers {
    /// What is told of a number.
    pub(super) fn offer(&self, number: u32) -> Option<Offer> {
        self.0.lock().services.services.get(number as usize).cloned()
    }

    /// Whether a service is among them.
    pub(super) fn has(&self, name: &ServiceName) -> bool {
        self.0.lock().names.contains(name)
    }

    /// Adds what is new, or told otherwise than the last time: then it has a new number, and keeps the old one, too.
    /// True: there was something, or the list is new.
    ///
    /// # Errors
    /// The list would not fit a message; then it stays as it was.
    pub(super) fn extend(&self, told: Vec<(ServiceName, Offer)>) -> Result<bool, TooManyServices> {
        let mut current = self.0.lock();
        let is_known = |(name, offer): &(ServiceName, Offer)| {
            let at = current.names.iter().rposition(|known| known == name);
            at.is_some_and(|at| current.services.services[at] == *offer)
        };
        let new: Vec<_> = told.into_iter().filter(|told| !is_known(told)).collect();
        if new.is_empty() && current.services.number > 0 {
            return Ok(false);
        }
        let mut next = Offered { names: current.names.clone(), services: current.services.clone() };
        next.services.number += 1;
        for (name, offer) in new {
            next.names.push(name);
            next.services.services.push(offer);
        }
        check(&next.services)?;
        *current = Arc::new(next);
        Ok(true)
    }
}

impl Offer {
    /// How it is addressed.
    pub(super) fn kind(&self) -> ServiceKind {
        match (self.keyed, self.single) {
            (true, _) => ServiceKind::Entity,
            (false, true) => ServiceKind::Singleton,
            (false, false) => ServiceKind::Stateless,
        }
    }
}

fn check(services: &Services) -> Result<(), TooManyServices> {
    let too_many = |error: ControlError| TooManyServices {
        services: services.services.len(),
        problem: error.to_string(),
    };
    control::encode(&Control::Services(services.clone())).map(drop).map_err(too_many)
}

fn offer(described: &ServiceDescription) -> Offer {
    Offer {
        name: described.name.to_string(),
        contract: described.contract.into(),
        major: described.version.major,
        minor: described.version.minor,
        keyed: described.kind == ServiceKind::Entity,
        single: described.kind == ServiceKind::Singleton,
        relayed: false,
        methods: described.methods.iter().map(|method| method.name.into()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_fits_no_message_is_an_error_that_tells_its_size() {
        let offer = |at: usize| Offer {
            name: format!("service-{at}"),
            contract: "wide".into(),
            major: 1,
            minor: 0,
            keyed: false,
            single: false,
            relayed: false,
            methods: (0..100).map(|method| format!("a-method-with-the-number-{method}")).collect(),
        };
        let list =
            |count| Services { number: 1, services: (0..count).map(offer).collect(), resting: Vec::new() };
        assert_eq!(check(&list(300)), Ok(()));
        let error = check(&list(400)).expect_err("it is above one MiB").to_string();
        assert!(error.contains("400 services") && error.contains("1048576 are allowed"), "{error}");
    }
}
