//! Ports that nobody uses.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// Below what systems give to outgoing connections, so that a port stays free while the server on it is down.
const FIRST: u16 = 10_000;
const COUNT: u16 = 18_000;

/// A port on loopback that is free, and so is each that comes so much later.
pub(crate) fn free_port(offsets: &[u16]) -> u16 {
    // Each state of the hasher is another one, and drawn at random once for a thread.
    let drawn = |_| FIRST + (RandomState::new().hash_one(()) % u64::from(COUNT)) as u16;
    let is_free = |port: &u16| offsets.iter().all(|offset| TcpListener::bind(loopback(port + offset)).is_ok());
    (0..1_000).map(drawn).find(is_free).expect("of 1000 ports drawn at random, one is free")
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_and_those_beside_it_can_be_bound_and_the_next_is_another() {
        let port = free_port(&[0, 1, 1_000]);
        let _bound = [0, 1, 1_000].map(|offset| TcpListener::bind(loopback(port + offset)).unwrap());
        assert_ne!(free_port(&[0]), port);
    }
}
