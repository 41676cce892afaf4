//! A timer wheel that never fires early.
//!
//! Six levels of 64 slots, one millisecond a tick: an entry due in less than 64 ms stands in the lowest level, one due within
//! four seconds in the next, and so on to two years; beyond that it stands in the last slot that can be had and is looked
//! at again. Arming is O(1) and each entry moves down at most five times. Entries are nodes of one growing vector,
//! linked by index, so a million timers are one allocation.
//!
//! The wheel is a plain data structure: it has no clock and no thread, and it is told what time it is. An instant counts as
//! reached when the told time is at or after it, never before. (A published wheel that was measured fires up to 1 ms early,
//! because it cuts off where it should round up.) There is no way to disarm: a touched session is simply looked at again
//! when its entry comes up, and an ended one is dropped then.

use nightlatch_core::Time;

const LEVELS: usize = 6;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const NIL: u32 = u32::MAX;
/// The farthest ahead that an entry can stand: one slot of the highest level less than all, or it would meet the present slot.
const HORIZON: u64 = (SLOTS as u64 - 1) << (SLOT_BITS * (LEVELS as u32 - 1));

/// Timers that carry a `T` each.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// The tick up to which everything has fired.
    tick: u64,
    heads: [[u32; SLOTS]; LEVELS],
    /// One bit a slot that has entries.
    occupied: [u64; LEVELS],
    nodes: Vec<Node<T>>,
    free: u32,
    armed: usize,
}

#[derive(Debug)]
struct Node<T> {
    due: u64,
    next: u32,
    item: Option<T>,
}

impl<T> Wheel<T> {
    /// A wheel that stands at `now`.
    pub(crate) fn new(now: Time) -> Wheel<T> {
        Wheel {
            tick: now.as_millis(),
            heads: [[NIL; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            nodes: Vec::new(),
            free: NIL,
            armed: 0,
        }
    }

    /// How many timers stand.
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    /// Arms a timer. One that is due already fires at the next [`advance`](Wheel::advance).
    pub(crate) fn arm(&mut self, due: Time, item: T) {
        let node = Node { due: due.as_millis(), next: NIL, item: Some(item) };
        let index = match self.free {
            NIL => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
            free => {
                self.free = self.nodes[free as usize].next;
                self.nodes[free as usize] = node;
                free
            }
        };
        self.armed += 1;
        self.link(index);
    }

    /// The earliest instant at which [`advance`](Wheel::advance) may have something to do; none if no timer stands.
    ///
    /// It may be earlier than the first timer (when entries are to move a level down), never later.
    pub(crate) fn next(&self) -> Option<Time> {
        (0..LEVELS).filter_map(|level| self.next_in(level)).min().map(Time::from_millis)
    }

    /// Moves the wheel to `now` and hands out every item whose instant has come.
    pub(crate) fn advance(&mut self, now: Time, fired: &mut Vec<T>) {
        let now = now.as_millis();
        while let Some(next) = self.next().map(Time::as_millis) {
            if next > now {
                break;
            }
            self.tick = next;
            for level in (0..LEVELS).rev() {
                if self.next_in(level) == Some(next) {
                    self.empty(level, slot(next, level), fired);
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
    fn empty(&mut self, level: usize, slot: usize, fired: &mut Vec<T>) {
        let mut index = std::mem::replace(&mut self.heads[level][slot], NIL);
        self.occupied[level] &= !(1 << slot);
        while index != NIL {
            let node = &mut self.nodes[index as usize];
            let next = node.next;
            if node.due <= self.tick {
                fired.extend(node.item.take());
                node.next = self.free;
                self.free = index;
                self.armed -= 1;
            } else {
                self.link(index);
            }
            index = next;
        }
    }

    /// Puts a node in the slot its due time belongs to, seen from the present tick.
    fn link(&mut self, index: u32) {
        let due = self.nodes[index as usize].due.clamp(self.tick, self.tick.saturating_add(HORIZON));
        // The level is where the due tick first differs from the present one, so that its slot is still ahead of us.
        let differing = (due ^ self.tick) | 1;
        let level = ((63 - differing.leading_zeros()) / SLOT_BITS) as usize;
        let level = level.min(LEVELS - 1);
        let slot = slot(due, level);
        self.nodes[index as usize].next = self.heads[level][slot];
        self.heads[level][slot] = index;
        self.occupied[level] |= 1 << slot;
    }
}

fn slot(tick: u64, level: usize) -> usize {
    (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS
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
        for due in [0, 1, 63, 64, 65, 4_095, 4_096, 300_000, 43_200_000] {
            wheel.arm(at(due), due);
        }
        for due in [1, 63, 64, 65, 4_095, 4_096, 300_000, 43_200_000] {
            wheel.advance(at(due - 1), &mut fired);
            assert!(fired.iter().all(|fired| *fired < due), "{due} fired early");
            assert!(wheel.next().unwrap() <= at(due));
            wheel.advance(at(due), &mut fired);
            assert_eq!(fired.last(), Some(&due));
        }
        assert_eq!((wheel.len(), wheel.next()), (0, None));
    }

    #[test]
    fn farther_than_the_levels_reach() {
        let mut wheel = Wheel::new(at(0));
        let mut fired = Vec::new();
        let far = HORIZON * 3;
        wheel.arm(at(far), "far");
        while fired.is_empty() {
            let next = wheel.next().unwrap();
            assert!(next <= at(far));
            wheel.advance(next, &mut fired);
        }
        assert_eq!(wheel.tick, START + far);
    }

    proptest! {
        /// Against a sorted map, over any mix of arming and moving on.
        #[test]
        fn never_early_never_late_as_a_sorted_map_has_it(
            start in 0u64..1 << 41,
            steps in prop::collection::vec((0u64..3, 0u32..37, any::<u64>()), 1..200)
        ) {
            let mut wheel = Wheel::new(Time::from_millis(start));
            let mut model: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            let mut now = start;
            for (id, (what, bits, number)) in steps.into_iter().enumerate() {
                let distance = number & ((1 << bits) - 1);
                if what > 0 {
                    let due = now + distance;
                    wheel.arm(Time::from_millis(due), id);
                    model.entry(due).or_default().push(id);
                    continue;
                }
                now += distance;
                let mut fired = Vec::new();
                wheel.advance(Time::from_millis(now), &mut fired);
                let later = model.split_off(&(now + 1));
                let mut expected: Vec<usize> = std::mem::replace(&mut model, later).into_values().flatten().collect();
                fired.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(fired, expected);
                if let (Some(next), Some(first)) = (wheel.next(), model.keys().next()) {
                    prop_assert!(next.as_millis() <= *first && next.as_millis() >= now);
                }
                prop_assert_eq!(wheel.len(), model.values().map(Vec::len).sum::<usize>());
            }
        }
    }
}
