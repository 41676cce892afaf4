//! The faults, each with the promise that it breaks.
//!
//! An edit replaces an expression, or a whole statement, by a wrong one.

/// A fault.
pub(super) struct Plant {
    pub(super) name: &'static str,
    /// Which promise it breaks.
    pub(super) promise: &'static str,
    /// The test of the simulator's crate that finds it, where chance finds it too seldom.
    pub(super) story: Option<&'static str>,
    pub(super) edits: &'static [Edit],
}

/// A text that is there once, and what is put in its place.
pub(super) struct Edit {
    pub(super) file: &'static str,
    pub(super) right: &'static str,
    pub(super) wrong: &'static str,
}

const DEADLINE: &str = "crates/nightlatch-core/src/deadline.rs";
const DECIDE: &str = "crates/nightlatch-core/src/decide.rs";
const CELL: &str = "crates/nightlatch-engine/src/cell.rs";
const CHECK: &str = "crates/nightlatch-engine/src/check.rs";
const CLOCK: &str = "crates/nightlatch-engine/src/clock.rs";
const DEADLINES: &str = "crates/nightlatch-engine/src/deadlines.rs";
const END: &str = "crates/nightlatch-engine/src/end.rs";
const ENGINE: &str = "crates/nightlatch-engine/src/engine.rs";
const HANDOVER: &str = "crates/nightlatch-core/src/handover.rs";
const KEPT: &str = "crates/nightlatch-engine/src/kept.rs";
const LIMITS: &str = "crates/nightlatch-engine/src/limits.rs";
const OPEN: &str = "crates/nightlatch-engine/src/open.rs";
const RECOVER: &str = "crates/nightlatch-engine/src/recover.rs";
const SESSION: &str = "crates/nightlatch-engine/src/session.rs";
const SLOTS: &str = "crates/nightlatch-engine/src/slots.rs";
const UPKEEP: &str = "crates/nightlatch-engine/src/upkeep.rs";
const WRITER: &str = "crates/nightlatch-ledger/src/writer.rs";
const HISTORY: &str = "crates/nightlatch-ledger/src/history.rs";
const LEDGER: &str = "crates/nightlatch-ledger/src/ledger.rs";
const RESERVATION: &str = "crates/nightlatch-store/src/reservation.rs";
const ROWS: &str = "crates/nightlatch-store/src/people/rows.rs";
const STORE_FILE: &str = "crates/nightlatch-store/src/file.rs";
const STORE_SLOTS: &str = "crates/nightlatch-store/src/slots.rs";
const STEP_UP: &str = "crates/nightlatch-engine/src/step_up.rs";
const START: &str = "crates/nightlatch-engine/src/start.rs";

const fn plant(name: &'static str, promise: &'static str, edits: &'static [Edit]) -> Plant {
    Plant { name, promise, story: None, edits }
}

const fn with_story(
    name: &'static str,
    promise: &'static str,
    story: &'static str,
    edits: &'static [Edit],
) -> Plant {
    Plant { name, promise, story: Some(story), edits }
}

const fn edit(file: &'static str, right: &'static str, wrong: &'static str) -> Edit {
    Edit { file, right, wrong }
}

pub(super) const PLANTS: &[Plant] = &[
    plant(
        "found_activity_believed_durable",
        "never-early",
        &[edit(STORE_SLOTS, "keep_what_was_read(&self.file, &self.path, &content[..used], 0)?;", "")],
    ),
    with_story(
        "found_activity_is_synced_and_not_written_again",
        "never-early",
        "never_early_activity_that_a_failed_sync_dropped_is_written_again_by_the_next_start",
        &[edit(STORE_FILE, "file.write_all_at(bytes, at).map_err(failed(\"write again\", path))?;", "")],
    ),
    with_story(
        "found_checkpoint_is_synced_and_not_written_again",
        "on-the-record",
        "checkpoints::on_the_record_a_checkpoint_that_a_failed_sync_dropped_is_written_again_by_the_next_start",
        &[edit(
            HISTORY,
            "file.write_all_at(format!(\"{note}\\n\").as_bytes(), length - note.len() as u64 - 1)?;",
            "",
        )],
    ),
    plant(
        "snapshot_is_ahead_of_the_ledger",
        "never-revived",
        &[edit(UPKEEP, "self.all_limits_are_on_record()", "true")],
    ),
    plant(
        "suspension_unseen",
        "on-the-record",
        &[edit(CLOCK, "by_nanos >= NOTED_NANOS", "by_nanos == u64::MAX")],
    ),
    plant("deadline_off_by_one", "never-late", &[edit(DEADLINE, "now >= self.at", "now > self.at")]),
    plant(
        "late_touch_revives",
        "never-revived",
        &[
            edit(DECIDE, "seen.word.end()", "None::<EndReason>"),
            edit(
                DECIDE,
                "seen.word.touched(now)",
                "Some(Word::live(seen.word.generation(), now)).filter(|_| now > seen.word.last_activity())",
            ),
        ],
    ),
    plant(
        "absolute_limit_slides",
        "never-longer",
        &[edit(
            DECIDE,
            "Deadline { at: seen.hard_end.time(), reason: DeadlineReason::Absolute }",
            "Deadline { at: seen.hard_end.time().max(seen.word.last_activity().plus(crate::Span::from_secs(300))), \
             reason: DeadlineReason::Absolute }",
        )],
    ),
    plant(
        "refuses_before_it_commits",
        "never-revived",
        &[edit(
            CELL,
            "self.swap(seen.word, word)",
            "(matches!(outcome, Committed::EndedNow(..)) && event.activity == nightlatch_core::Activity::Active) || self.swap(seen.word, word)",
        )],
    ),
    plant(
        "slot_keeps_its_generation",
        "never-longer",
        &[edit(SLOTS, "Slot { index, generation: generation.next() }", "Slot { index, generation }")],
    ),
    plant(
        "idle_limit_goes_up",
        "never-longer",
        &[edit(
            CELL,
            "self.idle.fetch_min(register.bits(), Ordering::AcqRel) > register.bits()",
            "self.idle.swap(register.bits(), Ordering::AcqRel) > register.bits()",
        )],
    ),
    plant(
        "hard_end_goes_up",
        "never-longer",
        &[edit(
            CELL,
            "self.hard_end.fetch_min(register.bits(), Ordering::AcqRel) > register.bits()",
            "self.hard_end.swap(register.bits(), Ordering::AcqRel) > register.bits()",
        )],
    ),
    plant(
        "end_told_before_it_is_on_disk",
        "never-revived",
        &[edit(END, "if may_be_told {\n            session.settle();\n        }", "session.settle();")],
    ),
    plant(
        "end_by_a_clock_that_is_not_reserved_is_told",
        "never-revived",
        &[edit(END, "self.clock().is_kept(now_nanos)", "true")],
    ),
    plant(
        "end_by_limits_that_are_not_on_disk_is_told",
        "never-revived",
        &[edit(END, "session.limits_on_disk(self.journal().done())", "true")],
    ),
    plant(
        "end_of_a_lease_is_not_recorded",
        "on-the-record",
        &[edit(
            END,
            "for lease in session.orphans() {\n            self.decide(&lease, Activity::Passive, self.clock().now_nanos(), \"parent\");\n        }",
            "",
        )],
    ),
    plant(
        "restart_counts_as_activity",
        "never-longer",
        &[edit(
            RECOVER,
            "Cell::new(known.word, known.idle, known.hard_end)",
            "Cell::new(known.word.touched(known.word.last_activity().plus(nightlatch_core::Span::from_millis(500))).unwrap_or(known.word), known.idle, known.hard_end)",
        )],
    ),
    plant(
        "time_stands_still_while_down",
        "never-longer",
        &[edit(
            CLOCK,
            "boot.saturating_add_signed(last.offset_nanos)",
            "last.boot_nanos.saturating_add_signed(last.offset_nanos)",
        )],
    ),
    plant(
        "boot_behind_the_reservation_is_believed",
        "fail-closed",
        &[edit(CLOCK, "wall >= last.reserved_until_nanos", "true")],
    ),
    plant(
        "wall_clock_set_back_is_believed",
        "never-longer",
        &[edit(
            CLOCK,
            "return boot + offset;",
            "return boot + offset.min(needed.max(offset.saturating_sub(1_000_000_000)));",
        )],
    ),
    plant(
        "timer_fires_early",
        "never-early",
        &[edit(
            DEADLINES,
            "self.decide_silently(&session, Activity::Passive, now_nanos, \"deadline\")",
            "self.decide_silently(&session, Activity::Passive, now_nanos + 1_000_000, \"deadline\")",
        )],
    ),
    plant("lowered_limit_does_not_wake_the_timer", "never-late", &[edit(LIMITS, "self.arm(session);", "")]),
    plant(
        "touched_session_is_not_timed_again",
        "never-late",
        &[edit(DEADLINES, "self.wheel().arm(deadline.at, session.slot().index)", "drop(deadline)")],
    ),
    plant(
        "lease_outlives_its_parent",
        "together",
        &[edit(
            SESSION,
            "Some(parent.end().map_or_else(|| parent.deadline().at, |end| end.at))",
            "parent.end().map(|end| end.at).filter(|_| false)",
        )],
    ),
    plant(
        "start_is_known_before_it_is_on_disk",
        "on-the-record",
        &[edit(
            START,
            "self.append(entry, Some(Then::Admit(Arc::clone(session))))",
            "{ self.admit_to_table(session); self.append(entry, None) }",
        )],
    ),
    plant(
        "end_is_forgotten_before_it_is_on_disk",
        "never-revived",
        &[edit(ENGINE, "*at < before && session.end_entry() < done", "*at < before || done > u64::MAX")],
    ),
    plant(
        "entries_are_not_synced",
        "on-the-record",
        &[edit(WRITER, "self.disk.sync(&self.file).map_err(CommitError::Sync)?;", "")],
    ),
    plant(
        "new_segment_is_not_in_its_directory",
        "on-the-record",
        &[edit(WRITER, "file.sync_all()?;\n        files::sync_dir(dir)?;", "file.sync_all()?;")],
    ),
    plant(
        "last_block_is_believed_unseen",
        "on-the-record",
        &[edit(
            WRITER,
            "last.filter(|block| block.segment == segment)",
            "last.filter(|block| block.segment == segment && false)",
        )],
    ),
    plant("activity_is_not_synced", "never-early", &[edit(SLOTS, "store.sync().and(written)", "written")]),
    plant(
        "reservation_is_not_synced",
        "never-longer",
        &[edit(RESERVATION, "file.sync_data().map_err(failed(\"sync\", &self.path))?;", "")],
    ),
    plant(
        "new_subject_is_not_synced",
        "never-early",
        &[edit(ROWS, "self.file.sync_data().map_err(failed(\"sync\", &self.path))?;", "")],
    ),
    plant(
        "clock_fault_is_lost_in_a_crash",
        "fail-closed",
        &[edit(OPEN, "engine.commit()?;", "engine.reserve_time(false); engine.commit()?;")],
    ),
    plant(
        "lost_reservation_is_forgiven",
        "fail-closed",
        &[edit(OPEN, "(None, opened.entries > 0)", "(None, false)")],
    ),
    plant(
        "end_is_told_because_its_parents_is",
        "never-revived",
        &[edit(
            END,
            "reason == EndReason::ParentEnded && parent_settled(session)",
            "parent_settled(session)",
        )],
    ),
    plant(
        "failed_write_is_passed_over",
        "on-the-record",
        &[edit(LEDGER, "committer.unfinished = Some(block);", "drop(block);")],
    ),
    plant(
        "tighter_policy_is_not_applied_at_a_restart",
        "never-longer",
        &[edit(OPEN, "engine.tighten_all(&mut recovery);", "")],
    ),
    plant(
        "overlap_never_ends",
        "never-revived",
        &[edit(HANDOVER, "now >= replaced.plus(CREDENTIAL_OVERLAP)", "now < Time::ZERO")],
    ),
    plant(
        "what_is_issued_later_replaces",
        "never-early",
        &[edit(HANDOVER, "had_been_presented || had_time_to_arrive", "other.entry < self.entry")],
    ),
    plant("reuse_is_not_ended", "never-revived", &[edit(CHECK, "self.end_reused(session, now_nanos);", "")]),
    plant(
        "replaced_credential_revives_after_a_restart",
        "never-revived",
        &[edit(RECOVER, "session.add(&added, *presented);", "session.add(&added, None);")],
    ),
    plant(
        "snapshot_forgets_what_was_added",
        "never-early",
        &[edit(KEPT, "added.entry < size", "added.entry > size")],
    ),
    plant(
        "snapshot_forgets_what_was_presented",
        "never-revived",
        &[edit(KEPT, "added.presented(size)", "added.presented(0)")],
    ),
    plant(
        "step_up_is_activity",
        "never-longer",
        &[edit(
            STEP_UP,
            "self.decide(session, Activity::Passive, now.as_nanos(), \"check\")",
            "self.decide(session, Activity::Active, now.as_nanos(), \"check\")",
        )],
    ),
];
