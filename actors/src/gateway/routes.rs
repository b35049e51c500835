//! The services that requests of one executor went to: a path names the same few again and again.

use super::request::{PathError, read_service, service_segment};
use super::shard::Lookup;
use odeon::core::ServiceName;
use odeon::directory::Dynamic;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a segment of a path leads to.
pub(super) enum Route {
    /// A service.
    To(Arc<dyn Dynamic>),
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
    /// Where a segment leads. A name that leads nowhere is looked up each time.
    pub(super) fn find(&self, segment: &str, lookup: &dyn Lookup) -> Result<Route, PathError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = found.get(segment) {
            return Ok(Route::To(service.clone()));
        }
        let name = read_service(segment)?;
        let Some(service) = lookup.dynamic(&name) else { return Ok(Route::Nowhere(name)) };
        // one spelling of many: what clients make up does not grow this
        if service_segment(&name) == segment {
            found.insert(segment.into(), service.clone());
        }
        Ok(Route::To(service))
    }
}
