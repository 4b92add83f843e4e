//! Delivery of alerts to receivers on real sockets.

mod alertmanager;
mod rig;
mod server;
mod together;
mod webhook;
