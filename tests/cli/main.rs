//! The command line: what a person types and sees. Runs the built binary in directories of its own.

mod calls;
mod cluster;
mod configuration;
mod doctor;
mod dump;
mod life;
mod links;
mod logs;
mod looking;
mod members;
mod project;
mod rolling;
mod shop;
mod shoppers;
mod stage;
mod trio;
mod up;
