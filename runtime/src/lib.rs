//! Write services as actors: contracts, cells, supervision, nodes.
