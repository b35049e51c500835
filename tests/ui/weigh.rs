#![allow(unused_imports)]

use odeon::Weigh;

#[derive(Weigh)]
union Either {
    small: u8,
    large: u64,
}

#[derive(Weigh)]
#[repr(C, packed)]
struct Packed {
    small: u8,
    large: u64,
}

fn main() {}
