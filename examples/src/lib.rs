//! Example services: greeter, counter, shop.
