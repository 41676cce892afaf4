//! A place among the connections that may be open, and how many of them one address may take.
//!
//! A client's seat is taken before its connection is accepted and given back when the last thing on it is gone: the connection, a WebSocket
//! it became, a request that is left to finish. So there being no seat in use means that nothing is open.
//!
//! One address may have a share of them only. Of IPv6, what counts is the network of 64 bits: it is what one customer gets. A trusted proxy
//! speaks for many and has no share; where it says who is behind it before any request (PROXY protocol), those are counted.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::OwnedSemaphorePermit;

/// A client's seat.
#[derive(Debug)]
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Seat {
    /// A seat that counts towards `share`, if anybody's.
    pub(crate) fn new(permit: OwnedSemaphorePermit, share: Option<Share>) -> Seat {
        Seat { _permit: permit, _share: share }
    }
}

/// How many connections each address has open.
#[derive(Debug)]
pub(crate) struct Shares {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<Shares>,
    address: IpAddr,
}

impl Shares {
    /// An address may have this many.
    pub(crate) fn new(most: usize) -> Shares {
        Shares { most, open: Mutex::default() }
    }

    /// Room for one more connection of this address, if there is.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let address = network(address);
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { of: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.of.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// What of an address is one client's.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let shares = Arc::new(Shares::new(2));
        let [ada, bob]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let (first, _second) = (shares.take(ada).unwrap(), shares.take(ada).unwrap());
        assert!(shares.take("::ffff:192.0.2.1".parse().unwrap()).is_none());
        assert!(shares.take(bob).is_some());
        assert_eq!(shares.open().len(), 1, "nobody is remembered who has nothing open");
        drop(first);
        assert!(shares.take(ada).is_some());
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let shares = Arc::new(Shares::new(1));
        let _one = shares.take("2001:db8:1:2::1".parse().unwrap()).unwrap();
        assert!(shares.take("2001:db8:1:2:ffff::9".parse().unwrap()).is_none());
        assert!(shares.take("2001:db8:1:3::1".parse().unwrap()).is_some());
    }
}
