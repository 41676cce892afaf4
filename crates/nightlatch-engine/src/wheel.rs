//! A timer wheel that never fires early.
//!
//! Six levels of 64 slots, one millisecond a tick: an entry due in less than 64 ms stands in the lowest level, one due within
//! four seconds in the next, and so on to two years; beyond that it stands in the last slot that can be had and is looked
//! at again. Arming is O(1) and each entry moves down at most five times.
//!
//! A timer is a number that the caller chose, from zero up and without large gaps: it is the place of the timer's node in one growing
//! vector, and the slots are lists through the nodes. So a million timers are one allocation of 16 bytes each. A timer stands
//! once; armed again, it stands for the sooner of the two instants. That is a join: of two who arm at the same time, neither
//! can put off what the other brought near.
//!
//! The wheel is a plain data structure: it has no clock and no thread, and it is told what time it is. An instant counts as
//! reached when the told time is at or after it, never before. (A published wheel that was measured fires up to 1 ms early,
//! because it cuts off where it should round up.) There is no way to disarm: a touched session is simply looked at again
//! when its timer fires, and an ended one is dropped then.

use nightlatch_core::Time;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const NIL: u32 = u32::MAX;
/// In a node's `prev`: what follows is no node but the number of a slot's head.
const HEAD: u32 = 1 << 31;
/// The farthest ahead that an entry can stand: one slot of the highest level less than all, or it would meet the present slot.
const HORIZON: u64 = (SLOTS as u64 - 1) << (SLOT_BITS * (LEVELS as u32 - 1));
/// The due time of a timer that does not stand.
const NEVER: u64 = u64::MAX;

/// Timers by number.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The tick up to which everything has fired.
    tick: u64,
    /// The first node of each slot, level by level.
    heads: [u32; LEVELS * SLOTS],
    /// One bit a slot that has entries.
    occupied: [u64; LEVELS],
    nodes: Vec<Node>,
    armed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    due: u64,
    next: u32,
    prev: u32,
}

/// A timer that does not stand.
const IDLE: Node = Node { due: NEVER, next: NIL, prev: NIL };

impl Wheel {
    /// A wheel that stands at `now`.
    pub(crate) fn new(now: Time) -> Wheel {
        Wheel {
            tick: now.as_millis(),
            heads: [NIL; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            nodes: Vec::new(),
            armed: 0,
        }
    }

    /// How many timers stand.
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    /// Arms a timer, whose number is below 2^31. If it stands already, for the sooner of the two instants. One that is due already fires
    /// at the next [`advance`](Wheel::advance).
    pub(crate) fn arm(&mut self, due: Time, timer: u32) {
        let due = due.as_millis();
        if self.nodes.len() <= timer as usize {
            self.nodes.resize(timer as usize + 1, IDLE);
        }
        let stands_for = self.nodes[timer as usize].due;
        if stands_for <= due {
            return;
        }
        if stands_for == NEVER {
            self.armed += 1;
        } else {
            self.unlink(timer);
        }
        self.nodes[timer as usize].due = due;
        self.link(timer);
    }

    /// The earliest instant at which [`advance`](Wheel::advance) may have something to do; none if no timer stands.
    ///
    /// It may be earlier than the first timer (when entries are to move a level down), never later.
    pub(crate) fn next(&self) -> Option<Time> {
        (0..LEVELS).filter_map(|level| self.next_in(level)).min().map(Time::from_millis)
    }

    /// Moves the wheel to `now` and hands out every timer whose instant has come.
    pub(crate) fn advance(&mut self, now: Time, fired: &mut Vec<u32>) {
        let now = now.as_millis();
        while let Some(next) = self.next().map(Time::as_millis) {
            if next > now {
                break;
            }
            self.tick = next;
            for level in (0..LEVELS).rev() {
                if self.next_in(level) == Some(next) {
                    self.empty(head(next, level), fired);
                }
            }
        }
        self.tick = self.tick.max(now);
    }

    /// The first tick, from the present one on, at which an occupied slot of `level` comes up.
    fn next_in(&self, level: usize) -> Option<u64> {
        if self.occupied[level] == 0 {
            return None;
        }
        let shift = SLOT_BITS * level as u32;
        let here = self.tick >> shift;
        let ahead = self.occupied[level].rotate_right((here % SLOTS as u64) as u32).trailing_zeros();
        Some(((here + u64::from(ahead)) << shift).max(self.tick))
    }

    /// Takes a slot's entries out: due ones are handed over, the rest move to a lower level.
    fn empty(&mut self, head: usize, fired: &mut Vec<u32>) {
        let mut timer = self.set_head(head, NIL);
        while timer != NIL {
            let node = self.nodes[timer as usize];
            if node.due <= self.tick {
                self.nodes[timer as usize] = IDLE;
                self.armed -= 1;
                fired.push(timer);
            } else {
                self.link(timer);
            }
            timer = node.next;
        }
    }

    /// Puts a node first in the slot its due time belongs to, seen from the present tick.
    fn link(&mut self, timer: u32) {
        let due = self.nodes[timer as usize].due.clamp(self.tick, self.tick.saturating_add(HORIZON));
        // The level is where the due tick first differs from the present one, so that its slot is still ahead of us.
        let differing = (due ^ self.tick) | 1;
        let level = ((63 - differing.leading_zeros()) / SLOT_BITS) as usize;
        let head = head(due, level.min(LEVELS - 1));
        let next = self.set_head(head, timer);
        if next != NIL {
            self.nodes[next as usize].prev = timer;
        }
        let node = &mut self.nodes[timer as usize];
        (node.prev, node.next) = (HEAD | head as u32, next);
    }

    /// Takes a node out of the slot it stands in.
    fn unlink(&mut self, timer: u32) {
        let Node { prev, next, .. } = self.nodes[timer as usize];
        if prev & HEAD != 0 {
            self.set_head((prev ^ HEAD) as usize, next);
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next != NIL {
            self.nodes[next as usize].prev = prev;
        }
    }

    /// Makes a node the first of a slot, and gives the one before it.
    fn set_head(&mut self, head: usize, timer: u32) -> u32 {
        let bit = 1 << (head % SLOTS);
        let occupied = &mut self.occupied[head / SLOTS];
        *occupied = if timer == NIL { *occupied & !bit } else { *occupied | bit };
        std::mem::replace(&mut self.heads[head], timer)
    }
}

/// The number of the slot of a level that a tick belongs to.
fn head(tick: u64, level: usize) -> usize {
    level * SLOTS + (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const START: u64 = 1_700_000_000_000;

    fn at(offset: u64) -> Time {
        Time::from_millis(START + offset)
    }

    #[test]
    fn never_early_the_instant_before_and_at() {
        let mut wheel = Wheel::new(at(0));
        let mut fired = Vec::new();
        let due = [0, 1, 63, 64, 65, 4_095, 4_096, 300_000, 43_200_000];
        for (timer, due) in (0..).zip(due) {
            wheel.arm(at(due), timer);
        }
        for (timer, due) in (0..).zip(due).skip(1) {
            wheel.advance(at(due - 1), &mut fired);
            assert!(fired.iter().all(|fired| *fired < timer), "{due} fired early");
            assert!(wheel.next().unwrap() <= at(due));
            wheel.advance(at(due), &mut fired);
            assert_eq!(fired.last(), Some(&timer));
        }
        assert_eq!((wheel.len(), wheel.next()), (0, None));
    }

    #[test]
    fn farther_than_the_levels_reach() {
        let mut wheel = Wheel::new(at(0));
        let mut fired = Vec::new();
        let far = HORIZON * 3;
        wheel.arm(at(far), 0);
        while fired.is_empty() {
            let next = wheel.next().unwrap();
            assert!(next <= at(far));
            wheel.advance(next, &mut fired);
        }
        assert_eq!(wheel.tick, START + far);
    }

    #[test]
    fn armed_again_it_stands_once_for_the_sooner_instant() {
        let mut wheel = Wheel::new(at(0));
        let mut fired = Vec::new();
        for due in [70_000, 5_000, 90_000, 30, 5_000] {
            wheel.arm(at(due), 7);
            wheel.arm(at(40), 8);
        }
        assert_eq!(wheel.len(), 2);
        wheel.advance(at(29), &mut fired);
        assert!(fired.is_empty());
        wheel.advance(at(100_000), &mut fired);
        assert_eq!((fired, wheel.len(), wheel.next()), (vec![7, 8], 0, None));
    }

    proptest! {
        /// Against a map, over any mix of arming, arming again and moving on.
        #[test]
        fn never_early_never_late_as_a_map_has_it(
            start in 0u64..1 << 41,
            steps in prop::collection::vec((0u64..3, 0u32..40, 0u32..37, any::<u64>()), 1..300)
        ) {
            let mut wheel = Wheel::new(Time::from_millis(start));
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = start;
            for (what, timer, bits, number) in steps {
                let distance = number & ((1 << bits) - 1);
                if what > 0 {
                    let due = now + distance;
                    wheel.arm(Time::from_millis(due), timer);
                    model.entry(timer).and_modify(|stands_for| *stands_for = due.min(*stands_for)).or_insert(due);
                    continue;
                }
                now += distance;
                let mut fired = Vec::new();
                wheel.advance(Time::from_millis(now), &mut fired);
                fired.sort_unstable();
                let due: Vec<u32> = model.extract_if(.., |_, due| *due <= now).map(|(timer, _)| timer).collect();
                prop_assert_eq!(fired, due);
                if let (Some(next), Some(first)) = (wheel.next(), model.values().min()) {
                    prop_assert!(next.as_millis() <= *first && next.as_millis() >= now);
                }
                prop_assert_eq!(wheel.len(), model.len());
            }
        }
    }
}
