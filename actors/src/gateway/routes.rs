//! The services that requests of one executor went to: a path names the same few again and again.

use super::request::{PathError, read_service, service_segment};
use super::shard::Lookup;
use odeon::core::ServiceName;
use odeon::directory::{Dynamic, RawCall, RawRequest};
use odeon::remote::Elsewhere;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Who is called.
pub(crate) enum Callee {
    /// A service of this node.
    Here(Arc<dyn Dynamic>),
    /// A service that other nodes have.
    Elsewhere(Elsewhere),
}

impl Callee {
    /// A service by name: of this node, if it has it.
    pub(crate) fn find(name: &ServiceName, lookup: &dyn Lookup) -> Option<Self> {
        let here = lookup.dynamic(name).map(Self::Here);
        here.or_else(|| lookup.elsewhere(name).map(Self::Elsewhere))
    }

    pub(crate) fn name(&self) -> &ServiceName {
        match self {
            Self::Here(service) => &service.describe().name,
            Self::Elsewhere(service) => service.service(),
        }
    }

    pub(crate) fn call(&self, request: RawRequest) -> RawCall {
        match self {
            Self::Here(service) => service.call(request),
            Self::Elsewhere(service) => service.call(request),
        }
    }
}

/// What a segment of a path leads to.
pub(super) enum Route {
    /// A service.
    To(Callee),
    /// A name that no service has.
    Nowhere(ServiceName),
}

/// The services found so far, by the segment that names them.
#[derive(Default)]
pub(super) struct Routes {
    // one executor's requests take it in turn: it is never waited for
    found: Mutex<BTreeMap<String, Arc<dyn Dynamic>>>,
}

impl Routes {
    /// Where a segment leads. A name that leads to no service of this node is looked up each time: one may come.
    pub(super) fn find(&self, segment: &str, lookup: &dyn Lookup) -> Result<Route, PathError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = found.get(segment) {
            return Ok(Route::To(Callee::Here(service.clone())));
        }
        let name = read_service(segment)?;
        let Some(callee) = Callee::find(&name, lookup) else { return Ok(Route::Nowhere(name)) };
        // one spelling of many: what clients make up does not grow this
        if let Callee::Here(service) = &callee
            && service_segment(&name) == segment
        {
            found.insert(segment.into(), service.clone());
        }
        Ok(Route::To(callee))
    }
}
