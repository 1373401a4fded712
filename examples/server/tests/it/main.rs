//! The `trueno` binary as its users meet it: real processes, a real Postgres, a live moto.

mod demo;
mod failure;
mod interrupt;
mod live;
mod secrecy;
mod serve;
mod support;
