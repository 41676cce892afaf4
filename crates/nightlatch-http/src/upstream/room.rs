//! How many connections to applications may be in use at once, and how many of them one address may have.
//!
//! Over HTTP/1 a client's connection has one exchange at a time, and with it one connection to an application: seats for clients bound both.
//! Over HTTP/2 a client's connection has a hundred exchanges, and to an application of HTTP/1 each of them is a connection: a few clients
//! would take every descriptor there is, and nothing would be left to record an end with. So whoever is to use a connection takes a
//! place first, of as many as there are seats; others wait for a while. A stream takes it from its address's share as well, so that one address is in the
//! way of itself only. To an application of HTTP/2 it is not streams that are counted but, as there too, connections: those that its sessions needed.

use crate::{limits::Limits, seat::network};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The places there are.
#[derive(Debug)]
pub(crate) struct Room {
    all: Arc<Semaphore>,
    /// What one address may have.
    share: usize,
    /// How long a place is waited for.
    within: Duration,
    addresses: Mutex<Addresses>,
}

/// Those that have a place, or wait for one.
#[derive(Debug, Default)]
struct Addresses {
    known: HashMap<IpAddr, Weak<Semaphore>>,
    /// How many there may be before those are forgotten that have nothing.
    most: usize,
}

/// The use of one connection to an application.
#[derive(Debug)]
pub(crate) struct Place {
    _share: Option<OwnedSemaphorePermit>,
    _one: OwnedSemaphorePermit,
}

/// Fewer addresses than this are not worth looking through.
const ADDRESSES: usize = 64;

impl Room {
    /// As many as there are seats for clients, and for one address what it may have of those, or one connection full of streams.
    pub(crate) fn new(limits: &Limits) -> Room {
        let share = limits.connections_per_address.max(limits.http2.streams as usize);
        Room {
            all: Arc::new(Semaphore::new(limits.connections)),
            share,
            within: limits.connect_within,
            addresses: Mutex::default(),
        }
    }

    /// A place, from this address's share if it has one; none if there is none in time.
    pub(super) async fn place(&self, of: Option<IpAddr>) -> Option<Place> {
        let share = of.map(|address| self.share(address));
        // Nobody waits, as a rule, and a request is not to cost a timer.
        if share.is_none()
            && let Ok(one) = Arc::clone(&self.all).try_acquire_owned()
        {
            return Some(Place { _share: None, _one: one });
        }
        timeout(self.within, self.wait(share)).await.ok().flatten()
    }

    async fn wait(&self, share: Option<Arc<Semaphore>>) -> Option<Place> {
        let share = match share {
            Some(share) => Some(share.acquire_owned().await.ok()?),
            None => None,
        };
        let one = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Place { _share: share, _one: one })
    }

    fn share(&self, address: IpAddr) -> Arc<Semaphore> {
        let address = network(address);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let Addresses { known, most } = &mut *addresses;
        if let Some(share) = known.get(&address).and_then(Weak::upgrade) {
            return share;
        }
        if known.len() >= *most {
            known.retain(|_, share| share.strong_count() > 0);
            *most = ADDRESSES.max(2 * known.len());
        }
        let share = Arc::new(Semaphore::new(self.share));
        known.insert(address, Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(connections: usize, share: u32) -> Room {
        let mut limits = Limits { connections, connections_per_address: 1, ..Limits::default() };
        limits.http2.streams = share;
        limits.connect_within = Duration::from_millis(50);
        Room::new(&limits)
    }

    #[tokio::test]
    async fn an_address_is_in_the_way_of_itself_only() {
        let room = room(3, 2);
        let [ada, bob] = ["192.0.2.1", "192.0.2.2"].map(|address| Some(address.parse().unwrap()));
        let (first, second) = (room.place(ada).await.unwrap(), room.place(ada).await);
        assert!(second.is_some() && room.place(ada).await.is_none());
        let third = room.place(bob).await;
        assert!(third.is_some() && room.place(None).await.is_none(), "there are three");
        let (waited, ()) = tokio::join!(room.place(ada), async { drop(first) });
        assert!(waited.is_some(), "what is given back goes to who waits");
    }

    #[tokio::test]
    async fn addresses_that_have_nothing_are_forgotten() {
        let room = room(1, 1);
        for number in 0..10_000_u32 {
            assert!(room.place(Some(std::net::Ipv4Addr::from(number).into())).await.is_some());
        }
        assert!(room.addresses.lock().unwrap().known.len() <= ADDRESSES);
    }
}
