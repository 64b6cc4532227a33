//! How many connections there are, and whose: one client cannot take the place of others.
//!
//! A connection waits until the head of a request has come, and again once its answer is out;
//! between, it is at work. Waiting costs a client nothing, so when somebody has too many, those
//! that have waited longest are closed for the new one: a client that sends its request at once
//! is served, whatever stands open beside it. Only who has too many at work is turned away.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::address;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// All of them.
    pub(super) all: usize,
    /// Those from other machines, so that this one always has some.
    pub(super) remote: usize,
    /// Those of one source elsewhere.
    pub(super) each: usize,
    /// Those of one source on this machine, where a proxy may stand for everybody.
    pub(super) each_local: usize,
}

impl Limits {
    /// What a process can hold that may open `descriptors` files. Half of them are for the rest
    /// of the program.
    pub(super) fn of(descriptors: usize) -> Self {
        let all = (descriptors / 2).clamp(64, 1_024);
        Self {
            all,
            remote: all - all / 16,
            each: 64.min(all / 4),
            each_local: all / 4 * 3,
        }
    }

    fn of_party(&self, party: IpAddr) -> usize {
        if party.is_loopback() {
            self.each_local
        } else {
            self.each
        }
    }
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All connections are at work.
    All,
    /// All connections of this source are at work.
    Source,
}

impl Full {
    /// Its name among the figures.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::All => "connections",
            Self::Source => "connections_of_source",
        }
    }
}

/// The connections that there are.
#[derive(Debug)]
pub(super) struct Seats {
    limits: Limits,
    taken: Mutex<HashMap<u64, Arc<Place>>>,
    /// Goes up with each connection and each time that one begins to wait.
    clock: AtomicU64,
}

#[derive(Debug)]
struct Place {
    party: IpAddr,
    /// Since when it waits; 0 while it is at work.
    waiting: AtomicU64,
    asked_to_go: Notify,
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    place: Arc<Place>,
}

/// A request that is answered; the connection waits again when this is dropped.
#[derive(Debug)]
pub(super) struct AtWork {
    seats: Arc<Seats>,
    place: Arc<Place>,
}

impl Seats {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Mutex::default(),
            clock: AtomicU64::new(1),
        }
    }

    /// A place for a connection from `address`, and how many others were closed for it.
    ///
    /// # Errors
    /// [`Full`] when there is none and nobody waits who could go.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<(Seat, usize), Full> {
        let party = address::party(address.to_canonical());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = self.make_room(&mut taken, party)?;
        let number = self.tick();
        let place = Arc::new(Place {
            party,
            waiting: AtomicU64::new(number),
            asked_to_go: Notify::new(),
        });
        taken.insert(number, Arc::clone(&place));
        let seat = Seat {
            seats: Arc::clone(self),
            number,
            place,
        };
        Ok((seat, closed))
    }

    fn make_room(
        &self,
        taken: &mut HashMap<u64, Arc<Place>>,
        party: IpAddr,
    ) -> Result<usize, Full> {
        let each = self.limits.of_party(party);
        let own = taken.values().filter(|place| place.party == party);
        let (mut all, mut waiting) = (0, 0);
        for place in own {
            all += 1;
            waiting += usize::from(place.waits_since().is_some());
        }
        let mut closed = 0;
        // Half of what a source may have may only wait.
        if all >= each || waiting >= each / 2 {
            let oldest = oldest(taken, |place| place.party == party).ok_or(Full::Source)?;
            close(taken, oldest);
            closed += 1;
        }
        let is_remote = !party.is_loopback();
        let remote = taken
            .values()
            .filter(|place| !place.party.is_loopback())
            .count();
        if is_remote && remote >= self.limits.remote {
            close_one_of_the_most(taken, |place| !place.party.is_loopback())?;
            closed += 1;
        } else if taken.len() >= self.limits.all {
            close_one_of_the_most(taken, |_| true)?;
            closed += 1;
        }
        Ok(closed)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

/// Closes the oldest connection of the source that has most of those that wait.
fn close_one_of_the_most(
    taken: &mut HashMap<u64, Arc<Place>>,
    of: impl Fn(&Place) -> bool,
) -> Result<(), Full> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for place in taken.values().filter(|place| of(place)) {
        if place.waits_since().is_some() {
            *counts.entry(place.party).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let (party, _) = most.ok_or(Full::All)?;
    let number = oldest(taken, |place| place.party == party).ok_or(Full::All)?;
    close(taken, number);
    Ok(())
}

/// The connection that has waited longest.
fn oldest(taken: &HashMap<u64, Arc<Place>>, of: impl Fn(&Place) -> bool) -> Option<u64> {
    taken
        .iter()
        .filter(|(_, place)| of(place))
        .filter_map(|(number, place)| Some((place.waits_since()?, *number)))
        .min()
        .map(|(_, number)| number)
}

fn close(taken: &mut HashMap<u64, Arc<Place>>, number: u64) {
    if let Some(place) = taken.remove(&number) {
        place.asked_to_go.notify_one();
    }
}

impl Place {
    fn waits_since(&self) -> Option<u64> {
        Some(self.waiting.load(Ordering::Relaxed)).filter(|since| *since > 0)
    }
}

impl Seat {
    /// Says that a request has come.
    pub(super) fn work(&self) -> AtWork {
        self.place.waiting.store(0, Ordering::Relaxed);
        AtWork {
            seats: Arc::clone(&self.seats),
            place: Arc::clone(&self.place),
        }
    }

    /// Whether no request is being answered.
    pub(super) fn is_waiting(&self) -> bool {
        self.place.waits_since().is_some()
    }

    /// Returns when the connection has to make room for another one.
    pub(super) async fn asked_to_go(&self) {
        self.place.asked_to_go.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.number);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.place
            .waiting
            .store(self.seats.tick(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats() -> Arc<Seats> {
        Arc::new(Seats::new(Limits {
            all: 12,
            remote: 10,
            each: 4,
            each_local: 8,
        }))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn is_gone(seat: &Seat) -> bool {
        let taken = seat.seats.taken.lock().expect("no panic");
        !taken.contains_key(&seat.number)
    }

    #[test]
    fn whoever_waits_longest_goes_first() {
        let seats = seats();
        let (first, _) = seats.take(address(1)).expect("room");
        let (second, _) = seats.take(address(1)).expect("room");
        // It waits again, since a moment ago.
        drop(first.work());
        let (_third, closed) = seats.take(address(1)).expect("room");
        assert_eq!(closed, 1);
        assert!(is_gone(&second) && !is_gone(&first));
    }

    #[test]
    fn who_is_at_work_stays_and_others_are_turned_away() {
        let seats = seats();
        let mine: Vec<_> = (0..4)
            .map(|_| {
                let (seat, _) = seats.take(address(1)).expect("room");
                let work = seat.work();
                (seat, work)
            })
            .collect();
        assert_eq!(seats.take(address(1)).err(), Some(Full::Source));
        assert!(mine.iter().all(|(seat, _)| !is_gone(seat)));
        assert!(seats.take(address(2)).is_ok());
        drop(mine);
        assert!(seats.take(address(1)).is_ok());
    }

    #[test]
    fn a_crowd_from_elsewhere_leaves_room_for_this_machine() {
        let seats = seats();
        let mut all = Vec::new();
        for last in 1..=5 {
            for _ in 0..2 {
                let (seat, _) = seats.take(address(last)).expect("room");
                let work = seat.work();
                all.push((seat, work));
            }
        }
        assert_eq!(seats.take(address(9)).err(), Some(Full::All));
        let (local, closed) = seats.take(LOCAL).expect("room is kept");
        assert_eq!(closed, 0);
        drop(local);
        // One of them waits: it goes for somebody new.
        all[0].1.place.waiting.store(1, Ordering::Relaxed);
        assert!(matches!(seats.take(address(9)), Ok((_, 1))));
        assert!(is_gone(&all[0].0));
    }

    #[test]
    fn who_has_most_of_those_that_wait_pays_for_somebody_new() {
        let seats = seats();
        let (quiet, _) = seats.take(address(1)).expect("room");
        let greedy: Vec<_> = (2..=5)
            .flat_map(|last| [address(last), address(last)])
            .map(|address| seats.take(address).expect("room").0)
            .collect();
        let (_other, closed) = seats.take(address(6)).expect("room");
        assert_eq!(closed, 0);
        let (_new, closed) = seats.take(address(7)).expect("room");
        assert_eq!(closed, 1);
        assert!(!is_gone(&quiet), "it is older, but alone");
        assert_eq!(greedy.iter().filter(|seat| is_gone(seat)).count(), 1);
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let seats = seats();
        let v6 = |last: u16| -> IpAddr { [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into() };
        let kept: Vec<_> = (0..4)
            .map(|n| {
                let (seat, _) = seats.take(v6(n)).expect("room");
                let work = seat.work();
                (seat, work)
            })
            .collect();
        assert_eq!(seats.take(v6(9)).err(), Some(Full::Source));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        let (seat, _) = seats.take(mapped).expect("room");
        assert_eq!(seat.place.party, address(1));
        drop(kept);
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let seats = seats();
        for last in 0..=255 {
            drop(seats.take(address(last)).expect("room"));
        }
        assert!(seats.taken.lock().expect("no panic").is_empty());
    }

    #[test]
    fn few_descriptors_mean_few_connections() {
        assert_eq!(Limits::of(65_536).all, 1_024);
        let few = Limits::of(256);
        assert_eq!(
            (few.all, few.remote, few.each, few.each_local),
            (128, 120, 32, 96)
        );
    }
}
