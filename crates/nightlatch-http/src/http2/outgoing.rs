//! What leaves on the streams of one connection, and whose it is.
//!
//! Each stream that carries a session's bytes is entered here before its first frame. The frames themselves are told by
//! [`Followed`](super::followed::Followed) as they pass, in order and not one unseen; so a stream knows what of it has been handed down,
//! what has left to the last byte, and with which frame it ended. A cut is recorded when the frame that is the cut has left.

use super::frames::{DATA, HEADERS, Head};
use crate::gate::{Gate, Guarded};
use nightlatch_engine::Permit;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::SeqCst},
    },
};
use tokio::sync::Notify;

/// The streams of one connection, on their way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    gate: Arc<Gate>,
    /// It leads to an application, where only streams that are entered have anything to say; and what is cut is recorded where
    /// the client is told.
    towards_application: bool,
    state: Mutex<State>,
    /// Frames about the connection that may still come from the other side before [`Outgoing::forgive`].
    control: AtomicU32,
}

/// Such frames that one of DATA is worth: for each, the other side opens a window or two.
const CONTROL_FOR_DATA: u32 = 4;

#[derive(Debug, Default)]
struct State {
    streams: HashMap<u32, Leaving>,
    /// Streams with a frame that has passed and not left.
    passing: Vec<u32>,
}

/// One stream, on its way out.
#[derive(Debug, Default)]
struct Leaving {
    /// Who is asked for its frames; nobody for words of our own.
    guarded: Option<Guarded>,
    /// The cut that is complete when the last frame has left, and its words.
    cut: Option<(Guarded, &'static str)>,
    /// Payload handed to `h2`, a block of fields counting as one byte.
    queued: u64,
    /// What of it was handed down.
    passed: u64,
    /// What of that has left.
    left: u64,
    /// Its last frame was handed down.
    ended: bool,
    /// That frame was the end of what was to be said, and not a reset.
    whole: Arc<AtomicBool>,
    /// What is queued is ours: words about an end.
    words: bool,
    /// Its last frame is queued, or its answer is a cut: it stays on the books until that has left.
    finishing: bool,
    /// Nobody produces anything for it any more.
    alone: bool,
    /// The other side has reset it: what is queued for it is thrown away.
    given_up: bool,
}

impl Leaving {
    /// Whether its last frame is still to come, or on its way.
    fn outlives_its_source(&self) -> bool {
        self.ended || (self.finishing && !self.given_up)
    }
}

impl Outgoing {
    /// Towards a client.
    pub(crate) fn to_client(gate: Arc<Gate>, control_frames: u32) -> Arc<Outgoing> {
        Outgoing::new(gate, false, control_frames)
    }

    /// Towards an application.
    pub(crate) fn to_application(gate: Arc<Gate>) -> Arc<Outgoing> {
        Outgoing::new(gate, true, u32::MAX)
    }

    fn new(gate: Arc<Gate>, towards_application: bool, control_frames: u32) -> Arc<Outgoing> {
        // What a reset cuts is known here, stream by stream.
        gate.leave_recording();
        let control = AtomicU32::new(control_frames);
        Arc::new(Outgoing { gate, towards_application, state: Mutex::default(), control })
    }

    /// Enters a stream: `begin` opens it and tells its number, and no frame of it passes meanwhile.
    pub(crate) fn enter<T, E>(
        self: &Arc<Self>,
        guarded: Option<Guarded>,
        begin: impl FnOnce() -> Result<(u32, T), E>,
    ) -> Result<(StreamOut, T), E> {
        let mut state = self.state();
        let (id, begun) = begin()?;
        // A request's head is queued by beginning it.
        let queued = u64::from(self.towards_application);
        let leaving = Leaving { guarded, queued, ..Leaving::default() };
        let whole = Arc::clone(&leaving.whole);
        state.streams.insert(id, leaving);
        Ok((StreamOut { outgoing: Arc::clone(self), id, wanted: Notify::new(), whole }, begun))
    }

    /// The other side has reset this stream, and `h2` has thrown away what it had queued for it. Only what was handed down before may still
    /// leave; so a last frame that was not never does, and nobody is left to wait for it.
    pub(crate) fn given_up(&self, id: u32) {
        let mut state = self.state();
        let Some(leaving) = state.streams.get_mut(&id) else { return };
        leaving.given_up = true;
        if leaving.alone && !leaving.ended {
            state.streams.remove(&id);
        }
    }

    /// So many frames about the connection have come. False if they are more than anybody needs.
    pub(crate) fn takes_control(&self, frames: u32) -> bool {
        let taken = self.control.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(frames));
        taken.is_ok()
    }

    /// From now on so many may come.
    pub(crate) fn forgive(&self, frames: u32) {
        self.control.store(frames, Relaxed);
    }

    /// A frame begins to pass. False if nobody may let it.
    pub(crate) fn passes(&self, head: Head) -> bool {
        if !head.carries() && !head.ends_stream() {
            return true;
        }
        if head.kind == DATA {
            self.control.fetch_add(CONTROL_FOR_DATA, Relaxed);
        }
        let mut state = self.state();
        let State { streams, passing } = &mut *state;
        let Some(leaving) = streams.get_mut(&head.stream) else {
            return !head.carries() || !self.towards_application;
        };
        leaving.passed += match head.kind {
            HEADERS => 1,
            DATA => u64::from(head.length),
            _ => 0,
        };
        leaving.ended |= head.ends_stream();
        if head.makes_whole() {
            leaving.whole.store(true, SeqCst);
        }
        if let Some(guarded) = leaving.guarded.as_ref().filter(|_| head.carries()) {
            self.gate.hold_one_of_many(guarded);
        }
        if !passing.contains(&head.stream) {
            passing.push(head.stream);
        }
        true
    }

    /// Everything that has passed has left.
    pub(crate) fn left(&self) {
        let mut state = self.state();
        let State { streams, passing } = &mut *state;
        if passing.is_empty() {
            return;
        }
        let mut cuts = Vec::new();
        for id in passing.drain(..) {
            let Some(leaving) = streams.get_mut(&id) else { continue };
            leaving.left = leaving.passed;
            if leaving.ended {
                cuts.extend(streams.remove(&id).and_then(|leaving| leaving.cut));
            }
        }
        drop(state);
        if !self.towards_application {
            cuts.iter().for_each(|(guarded, how)| guarded.record_cut(how));
        }
    }

    /// The socket takes nothing more.
    pub(crate) fn reset(&self) {
        self.gate.reset(None);
    }

    /// The connection is about to be closed: if that is because of an end, it is the cut of all that stood in it.
    pub(crate) fn closes(&self) {
        let streams = std::mem::take(&mut self.state().streams);
        streams.into_values().for_each(|leaving| self.lost(leaving));
    }

    /// A stream ends here without a last frame.
    fn lost(&self, leaving: Leaving) {
        if self.towards_application || !self.gate.is_reset() {
            return;
        }
        let cut = leaving.cut.map(|(guarded, _)| guarded).or(leaving.guarded);
        if let Some(guarded) = cut.filter(|guarded| !guarded.may_pass()) {
            guarded.record_cut("connection reset");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream's way out, for whoever produces its bytes. With it goes the stream, unless its last frame is still to leave to a
/// client. (Towards an application nothing is recorded, and a frame that comes after this is a frame of nobody's.)
#[derive(Debug)]
pub(crate) struct StreamOut {
    outgoing: Arc<Outgoing>,
    id: u32,
    wanted: Notify,
    /// Stays when the stream has left the books.
    whole: Arc<AtomicBool>,
}

impl StreamOut {
    /// From now on frames pass for this session only.
    pub(crate) fn hold(&self, guarded: Guarded) {
        self.with(|leaving| leaving.guarded = Some(guarded));
    }

    /// Somebody reads the body that its other side holds back until it is told to send it (`Expect: 100-continue`).
    pub(crate) fn want_body(&self) {
        self.wanted.notify_one();
    }

    /// Completes once somebody does.
    pub(crate) async fn body_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Who is asked for what leaves.
    pub(crate) fn permit(&self) -> Option<Arc<Permit>> {
        self.with(|leaving| leaving.guarded.as_ref().map(|guarded| Arc::clone(&guarded.permit))).flatten()
    }

    /// More is handed to `h2`: bytes of a payload, or 1 for a block of fields. Said before it is done.
    pub(crate) fn queue(&self, bytes: usize) {
        self.with(|leaving| leaving.queued += bytes as u64);
    }

    /// The last frame is handed to `h2`. Said before it is done.
    pub(crate) fn finish(&self) {
        self.with(|leaving| leaving.finishing = true);
    }

    /// It was not: the other side had reset the stream.
    pub(crate) fn not_finished(&self) {
        self.with(|leaving| leaving.finishing = false);
    }

    /// Lets words of our own follow, if nothing is held back that would come before them. The cut is recorded when they have left.
    pub(crate) fn last_words(&self, guarded: &Guarded, how: &'static str) -> bool {
        let may = self.with(|leaving| {
            let may = leaving.left == leaving.queued && !leaving.ended;
            if may {
                leaving.guarded = None;
                leaving.words = true;
                leaving.cut = Some((guarded.clone(), how));
            }
            may
        });
        may.unwrap_or(false) && !self.outgoing.gate.is_reset()
    }

    /// Whether what is said now are words of our own.
    pub(crate) fn speaks(&self) -> bool {
        self.with(|leaving| leaving.words).unwrap_or(false)
    }

    /// The answer that comes next says so: that cut is recorded when it has left.
    pub(crate) fn record_when_left(&self, guarded: Guarded, how: &'static str) {
        self.with(|leaving| leaving.cut = Some((guarded, how)));
    }

    /// The stream is about to be reset by us. That is the cut of what it carries, if its session is over.
    pub(crate) fn resets(&self) {
        self.with(|leaving| {
            let cut = leaving.cut.take().map(|(guarded, _)| guarded).or_else(|| leaving.guarded.clone());
            leaving.cut = cut.filter(|guarded| !guarded.may_pass()).map(|guarded| (guarded, "RST_STREAM"));
            leaving.finishing = leaving.cut.is_some();
        });
    }

    /// Whether everything that was to be said on it may be with the kernel. A reset says that it was not everything.
    pub(crate) fn may_be_whole(&self) -> bool {
        self.whole.load(SeqCst)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Leaving) -> T) -> Option<T> {
        self.outgoing.state().streams.get_mut(&self.id).map(change)
    }
}

impl Drop for StreamOut {
    fn drop(&mut self) {
        let mut state = self.outgoing.state();
        if let Some(leaving) = state.streams.get_mut(&self.id)
            && leaving.outlives_its_source()
            && !self.outgoing.towards_application
        {
            leaving.alone = true;
            return;
        }
        let leaving = state.streams.remove(&self.id);
        drop(state);
        leaving.into_iter().for_each(|leaving| self.outgoing.lost(leaving));
    }
}

#[cfg(test)]
mod tests;
