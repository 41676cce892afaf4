use proptest::prelude::*;

use super::*;

/// A frame on the wire.
fn frame(first: u8, masked: bool, payload: usize) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload {
        0..=125 => bytes.push(mask_bit | u8::try_from(payload).unwrap()),
        126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend((payload as u64).to_be_bytes());
        }
    }
    bytes.extend(if masked { &[1, 2, 3, 4][..] } else { &[] });
    bytes.extend((0..payload).map(|at| u8::try_from(at % 251).unwrap()));
    bytes
}

fn fed(data_frames: u64, control_frames: u64, last_boundary: Option<usize>) -> FeedSummary {
    FeedSummary { data_frames, control_frames, last_boundary }
}

#[test]
fn whole_frames() {
    for (first, masked, payload, kind) in [
        (0x81, false, 0, FrameKind::Data),
        (0x82, true, 5, FrameKind::Data),
        (0xc1, true, 125, FrameKind::Data), // RSV1: compressed
        (0x81, false, 126, FrameKind::Data),
        (0x81, true, 65_535, FrameKind::Data),
        (0x81, false, 65_536, FrameKind::Data),
        (0x87, true, 3, FrameKind::Data),
        (0x80, true, 3, FrameKind::Continuation),
        (0x88, true, 2, FrameKind::Close),
        (0x89, false, 125, FrameKind::Ping),
        (0x8a, true, 0, FrameKind::Pong),
        (0xfb, true, 9, FrameKind::OtherControl),
    ] {
        let bytes = frame(first, masked, payload);
        let mut tracker = FrameTracker::default();
        let control = u64::from(kind.is_control());
        assert_eq!(
            tracker.feed(&bytes),
            Ok(fed(1 - control, control, Some(bytes.len()))),
            "{first:x} {payload}"
        );
        assert!(tracker.at_boundary() && tracker.frame().is_none());
        assert_eq!(tracker.close_seen(), kind == FrameKind::Close);

        let Some((_, all_but_one)) = bytes.split_last() else { continue };
        let mut tracker = FrameTracker::default();
        assert_eq!(tracker.feed(all_but_one), Ok(FeedSummary::default()));
        assert!(!tracker.at_boundary());
        let under_way = Frame { kind, masked, fin: true, remaining: 1 };
        assert_eq!(tracker.frame(), (payload > 0).then_some(under_way));
        if payload > 0 {
            assert_eq!(tracker.split_at_boundary(b"xyz"), Ok(1));
        }
    }
}

#[test]
fn a_close_fits_between_fragments() {
    let mut tracker = FrameTracker::default();
    tracker.feed(&frame(0x01, true, 3)).unwrap();
    assert!(tracker.at_boundary() && tracker.message_open());
    tracker.feed(&frame(0x89, true, 3)).unwrap();
    assert!(tracker.at_boundary() && tracker.message_open(), "a ping ends no message");
    tracker.feed(&frame(0x00, true, 3)).unwrap();
    assert!(tracker.message_open());
    tracker.feed(&frame(0x80, true, 0)).unwrap();
    assert!(tracker.at_boundary() && !tracker.message_open());
}

#[test]
fn cutting_a_buffer() {
    let (a, b) = (frame(0x81, true, 10), frame(0x82, true, 300));
    let both = [a.clone(), b.clone()].concat();
    let mut tracker = FrameTracker::default();
    assert_eq!(tracker.split_at_boundary(&both), Ok(0), "between frames there is nothing to complete");
    assert_eq!(tracker.feed(&both[..5]), Ok(FeedSummary::default()));
    assert_eq!(tracker.split_at_boundary(&both[5..]), Ok(a.len() - 5));
    assert_eq!(tracker.split_at_boundary(&both[5..8]), Ok(3));
    assert_eq!(tracker.split_at_boundary(b""), Ok(0));
    assert_eq!(tracker.feed(&both[5..a.len() + 2]), Ok(fed(1, 0, Some(a.len() - 5))));
    assert!(!tracker.at_boundary(), "two bytes into the second header");
    assert_eq!(tracker.split_at_boundary(&both[a.len() + 2..]), Ok(b.len() - 2));
}

#[test]
fn faults_stay() {
    for (bytes, fault, before) in [
        (&b"\x89\x7e"[..], FrameFault::LongControl, 1),
        (b"\x88\xff", FrameFault::LongControl, 1),
        (b"\x09", FrameFault::FragmentedControl, 0),
        (b"\x08\x00", FrameFault::FragmentedControl, 0),
        (b"\x82\x7f\x80\0\0\0\0\0\0\0", FrameFault::Length, 9),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", FrameFault::Length, 13),
    ] {
        let mut tracker = FrameTracker::default();
        assert!(tracker.feed(&bytes[..before]).is_ok(), "{bytes:x?}");
        assert_eq!(
            tracker.split_at_boundary(&bytes[before..]).is_err(),
            before > 0,
            "looking ahead finds it too"
        );
        for _ in 0..2 {
            assert_eq!(tracker.feed(&bytes[before..]), Err(fault), "{bytes:x?}");
            assert!(!tracker.at_boundary() && tracker.frame().is_none());
        }
        assert_eq!(tracker.split_at_boundary(b"\x81\x00"), Err(fault));
        assert_eq!(tracker.feed(b""), Err(fault));
    }
}

#[test]
fn a_length_written_longer_than_needed_is_followed() {
    let mut tracker = FrameTracker::default();
    assert_eq!(tracker.feed(b"\x82\x7f\0\0\0\0\0\0\0\x02ab"), Ok(fed(1, 0, Some(12))));
    assert_eq!(tracker.feed(b"\x82\x7e\0\x02ab"), Ok(fed(1, 0, Some(6))));
}

#[test]
fn the_longest_frame_is_counted_not_kept() {
    let mut tracker = FrameTracker::default();
    tracker.feed(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff").unwrap();
    tracker.feed(&[0; 1000]).unwrap();
    assert_eq!(tracker.frame().map(|frame| frame.remaining), Some((1 << 63) - 1001));
}

fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let data = (prop::sample::select(vec![0x81, 0x02, 0x00, 0x80, 0xc1, 0x83]), any::<bool>(), 0..300_usize);
    let control = (prop::sample::select(vec![0x88, 0x89, 0x8a, 0xcb]), any::<bool>(), 0..126_usize);
    prop::collection::vec(
        prop_oneof![data, control].prop_map(|(first, masked, len)| frame(first, masked, len)),
        0..8,
    )
}

proptest! {
    /// However the bytes are split, the same frames end at the same places.
    #[test]
    fn splits_make_no_difference(frames in frames(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let bytes = frames.concat();
        let mut whole = FrameTracker::default();
        let expected = whole.feed(&bytes).unwrap();
        prop_assert_eq!(expected.data_frames + expected.control_frames, frames.len() as u64);
        prop_assert!(whole.at_boundary());

        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        places.sort_unstable();
        let mut split = FrameTracker::default();
        let mut sum = FeedSummary::default();
        for place in places.windows(2) {
            let piece = &bytes[place[0]..place[1]];
            let to_boundary = split.split_at_boundary(piece).unwrap();
            let fed = split.feed(piece).unwrap();
            sum.data_frames += fed.data_frames;
            sum.control_frames += fed.control_frames;
            sum.last_boundary = fed.last_boundary.map(|at| place[0] + at).or(sum.last_boundary);
            prop_assert!(fed.last_boundary.is_none_or(|at| to_boundary <= at));
            let ends: Vec<usize> = frames.iter().scan(0, |end, frame| { *end += frame.len(); Some(*end) }).collect();
            prop_assert_eq!(split.at_boundary(), place[1] == 0 || ends.contains(&place[1]));
        }
        prop_assert_eq!(sum, expected);
        prop_assert_eq!((split.message_open(), split.close_seen()), (whole.message_open(), whole.close_seen()));
    }

    #[test]
    fn noise_never_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
        let mut split = FrameTracker::default();
        let mut fault = None;
        for piece in &pieces {
            let ahead = split.split_at_boundary(piece);
            prop_assert!(ahead.is_err() || ahead.is_ok_and(|used| used <= piece.len()));
            fault = fault.or(split.feed(piece).err());
        }
        prop_assert_eq!(FrameTracker::default().feed(&pieces.concat()).err(), fault);
    }
}
