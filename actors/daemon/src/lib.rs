//! The command line: odeon up, node, status, ps, services, call, tree, bench, new.
