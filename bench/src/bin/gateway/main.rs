//! What it costs to stand in the way: the gateway, with a check and a touch on every request, beside plain `nginx proxy_pass` without any.
//!
//! Both forward to the same nginx, which answers from memory. Everything that serves is pinned to one processor and the client to another, so
//! that neither borrows from the other; the two take turns, round by round, and the ratio is taken within a round. Processor time a request is the
//! steadier figure: it hardly moves with what else the machine does. A bare proxy of the same HTTP library stands beside them: what it costs over
//! nginx is the library's part, what we cost over it is ours.
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

mod bare;
mod bodies;
mod load;
mod place;

use load::Load;
use place::{Place, Proxy};

const ROUNDS: usize = 5;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    if let [bare, port, application] = chosen.as_slice()
        && bare == "bare"
    {
        return bare::serve(port.parse().unwrap(), application.parse().unwrap());
    }
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
        "{:>6} {:>26} {:>26} {:>26} {:>12} {:>12}",
        "round",
        "nginx req/s (us/req)",
        "bare req/s (us/req)",
        "ours req/s (us/req)",
        "bare/nginx",
        "ours/nginx"
    );
    let (mut bare_ratios, mut our_ratios) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let nginx = load.run(place, Proxy::Nginx);
        let bare = (!load.tls()).then(|| load.run(place, Proxy::Bare));
        let ours = load.run(place, Proxy::Nightlatch);
        let bare_ratio = bare.as_ref().map(|bare| bare.per_second / nginx.per_second);
        let our_ratio = ours.per_second / nginx.per_second;
        bare_ratios.extend(bare_ratio);
        our_ratios.push(our_ratio);
        let told = |load: &load::Result| format!("{:.0} ({:.1})", load.per_second, load.cpu_us);
        println!(
            "{round:>6} {:>26} {:>26} {:>26} {:>12} {our_ratio:>12.2}",
            told(&nginx),
            bare.as_ref().map_or("-".to_owned(), told),
            told(&ours),
            bare_ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        );
    }
    println!();
    median("bare / nginx", bare_ratios);
    median("ours / nginx", our_ratios);
    println!();
}

fn median(name: &str, mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    if let [least, .., most] = ratios.as_slice() {
        println!("  {name}: median {:.2} [{least:.2}-{most:.2}]", ratios[ratios.len() / 2]);
    }
}
