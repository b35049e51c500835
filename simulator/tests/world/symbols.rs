//! libc functions that this binary imports.
#[test]
fn placeholder() {}
