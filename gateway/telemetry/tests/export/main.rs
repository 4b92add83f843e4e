//! Exporters against a receiver on a real socket.

mod answers;
mod collector;
mod delivery;
mod ending;
mod grpc;
mod rig;
mod tls;
