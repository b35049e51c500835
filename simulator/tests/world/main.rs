//! The world as programs and scripts meet it: unmodified code on virtual time, network and disks.

mod support;

mod http;
