//! Contracts as their users see them: calls, casts and errors by type and by bytes, references, mocks, schemas.

mod api;
mod calls;
mod edges;
mod encoded;
mod late;
mod laws;
mod life_cycle;
mod mocks;
mod references;
mod schemas;
mod shapes;
mod weight;
