//! What it costs to stand in the way: the gateway, with a check and a touch on every request, beside plain `nginx proxy_pass` without any.
//!
//! Both forward to the same nginx, which answers from memory. Everything that serves is pinned to one processor and the client to another, so
//! that neither borrows from the other; the two take turns, round by round, and the ratio is taken within a round. Processor time a request is the
//! steadier figure: it hardly moves with what else the machine does.
//!
//! Needs `nginx`, `wrk` and `h2load` (Debian: nginx, wrk, nghttp2-client) and the program's release build beside this one;
//! `cargo xtask bench gateway` sees to all of that. Nothing is asserted.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement prints, and stops when it cannot measure"
)]

mod bodies;
mod load;
mod place;

use load::Load;
use place::{Place, Proxy};

const ROUNDS: usize = 5;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    let place = Place::new();
    if wanted("small") {
        compare(
            &place,
            "64 keep-alive connections, small answers, HTTP/1.1",
            Load::Http1 { connections: 64 },
        );
        compare(
            &place,
            "16 keep-alive connections, small answers, HTTP/1.1",
            Load::Http1 { connections: 16 },
        );
    }
    if wanted("tls") {
        compare(&place, "64 connections, TLS, HTTP/1.1", Load::Tls1 { connections: 64 });
        compare(
            &place,
            "64 connections, TLS and HTTP/2, 8 streams each",
            Load::Http2 { connections: 64, streams: 8 },
        );
    }
    if wanted("bodies") {
        bodies::compare(&place);
    }
}

/// Takes turns and prints what each did.
fn compare(place: &Place, title: &str, load: Load) {
    println!("{title}\n");
    println!(
        "{:>6} {:>13} {:>13} {:>7} {:>16} {:>16}",
        "round", "nginx req/s", "ours req/s", "ratio", "nginx us/req", "ours us/req"
    );
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let nginx = load.run(place, Proxy::Nginx);
        let ours = load.run(place, Proxy::Nightlatch);
        let ratio = ours.per_second / nginx.per_second;
        ratios.push(ratio);
        println!(
            "{round:>6} {:>13.0} {:>13.0} {ratio:>7.2} {:>16.1} {:>16.1}",
            nginx.per_second, ours.per_second, nginx.cpu_us, ours.cpu_us
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "\n  ours / nginx: median {:.2} [{:.2}-{:.2}]\n",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    );
}
