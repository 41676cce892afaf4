//! What happens, told on the terminal as it goes on the record.
//!
//! Nothing is told that is not in the ledger: this reads entries as they become durable, like any auditor could.

use jiff::{Timestamp, tz::TimeZone};
use nightlatch_core::Span;
use nightlatch_engine::{Cut, Engine, Entry, SessionEnded};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long after an end its cuts are waited for before they are told together.
const TOGETHER: Duration = Duration::from_millis(400);

/// An end whose cuts are being collected.
struct Ending {
    ended: SessionEnded,
    entry: u64,
    cuts: Vec<(u64, Cut)>,
    /// When it was asked for again.
    refused_at: Option<u64>,
}

/// Tells what happens from now on, for ever.
pub(crate) async fn tell(engine: Arc<Engine>) {
    let mut next = engine.ledger().durable();
    let mut durable = engine.ledger().watch();
    let mut endings: BTreeMap<String, Ending> = BTreeMap::new();
    loop {
        let more = durable.wait_for(|size| *size > next);
        let waited = tokio::time::timeout(TOGETHER, more).await.map(|changed| changed.map(|size| *size));
        match waited {
            Ok(Ok(_)) => {
                for entry in engine.ledger().iter_from(next).flatten() {
                    // On disk is not yet known: a session that starts has a name a moment later.
                    engine.durable(entry.index).await;
                    if let Ok(said) = Entry::from_bytes(&entry.payload) {
                        take(&engine, entry.index, said, &mut endings);
                    }
                    next = entry.index + 1;
                }
            }
            Ok(Err(_)) => return,
            Err(_) => {
                for ending in std::mem::take(&mut endings).into_values() {
                    println!("{}", told(&engine, &ending));
                }
            }
        }
    }
}

fn take(engine: &Engine, index: u64, entry: Entry, endings: &mut BTreeMap<String, Ending>) {
    match entry {
        Entry::SessionStarted(started) => {
            println!("{}  {} signed in.", clock(started.at), name(engine, &started.session));
        }
        Entry::SessionEnded(ended) => {
            endings.insert(
                ended.session.clone(),
                Ending { ended, entry: index, cuts: Vec::new(), refused_at: None },
            );
        }
        Entry::Cut(cut) => {
            if let Some(ending) = endings.get_mut(&cut.session) {
                ending.cuts.push((index, cut));
            }
        }
        Entry::RefusedAfterEnd { session, at, .. } => match endings.get_mut(&session) {
            Some(ending) => ending.refused_at = Some(at),
            None => println!("{}", refused(engine, &session, at)),
        },
        Entry::OutcomeWithheld { session, at, route, status } => {
            let outcome = status.map_or("no answer in time".to_owned(), |status| format!("answer {status}"));
            println!(
                "{}  {}: {route} had been forwarded whole; {outcome}, withheld.",
                clock(at),
                name(engine, &session)
            );
        }
        Entry::ClockStepped { at, direction, by_ms } => {
            println!("{}  The wall clock stepped {direction} by {by_ms} ms.", clock(at));
        }
        Entry::MachineSuspended { at, by_ms } => {
            println!("{}  The machine was suspended for {by_ms} ms; they count.", clock(at));
        }
        Entry::AuthenticationAdded(_)
        | Entry::CredentialPresented { .. }
        | Entry::LimitsLowered { .. }
        | Entry::ClockFault { .. }
        | Entry::Started { .. }
        | Entry::EntriesGaveWay { .. }
        | Entry::Restored { .. }
        | Entry::SubjectBlocked(_)
        | Entry::SubjectUnblocked(_)
        | Entry::ProviderLogout(_)
        | Entry::Stopped { .. } => {}
    }
}

fn told(engine: &Engine, ending: &Ending) -> String {
    let Ending { ended, entry, cuts, refused_at } = ending;
    let quiet = Span::from_millis(ended.ended_at.saturating_sub(ended.last_activity));
    let why = match ended.reason.as_str() {
        "idle_timeout" => format!("nothing happened for {quiet}"),
        "absolute_timeout" => "the absolute limit was reached".to_owned(),
        "logout" => "signed out".to_owned(),
        _ => format!("ended by {}", ended.by),
    };
    let mut text = format!(
        "{}  {} is signed out: {why} ({}).",
        clock(ended.at),
        name(engine, &ended.session),
        ended.reason
    );
    for (_, cut) in cuts {
        let lateness = format!("{}.{:03} ms late", cut.lateness_us / 1000, cut.lateness_us % 1000);
        text.push_str(&format!(
            "\n            {:<10} {:<24} {:<24} {:>14}",
            cut.channel, cut.route, cut.how, lateness
        ));
    }
    let last = cuts.last().map_or(*entry, |(index, _)| *index);
    let node = engine.node();
    let where_to = if last == *entry { String::new() } else { format!(" to {node}:{last}") };
    text.push_str(&format!(
        "\n            {} requests did not count as activity. On the record: {node}:{entry}{where_to}.",
        ended.passive
    ));
    if let Some(at) = refused_at {
        text.push_str(&format!("\n{}", refused(engine, &ended.session, *at)));
    }
    text
}

fn refused(engine: &Engine, session: &str, at: u64) -> String {
    format!("{}  {} asked again and was refused.", clock(at), name(engine, session))
}

/// The demo's users are made up, so they may be named on the terminal.
fn name(engine: &Engine, session: &str) -> String {
    let known = engine.session_named(session);
    known.map_or_else(|| session.to_owned(), |session| session.facts.who.subject.name.clone())
}

fn clock(millis: u64) -> String {
    let timestamp = Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(0)).unwrap_or_default();
    timestamp.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}
