//! Large bodies: one GiB down and one up, a client at a time, and what the proxy holds in memory meanwhile.

use crate::place::{CLIENTS, Place, Proxy};
use nightlatch_bench::process::pinned;
use std::{
    fs::File,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

const BYTES: u64 = 1 << 30;
const ROUNDS: usize = 3;

struct Moved {
    mib_per_second: f64,
    cpu_seconds: f64,
    grown_kib: u64,
}

/// Takes turns and prints what each did.
pub(crate) fn compare(place: &Place) {
    // Without content on the disk: holes read as zeros, so that the disk has no say.
    File::create(place.folder().join("big")).unwrap().set_len(BYTES).unwrap();
    for (title, up) in [("1 GiB down", false), ("1 GiB up", true)] {
        println!("{title}\n");
        println!(
            "{:>6} {:>12} {:>12} {:>7} {:>12} {:>12} {:>16} {:>16}",
            "round",
            "nginx MiB/s",
            "ours MiB/s",
            "ratio",
            "nginx cpu s",
            "ours cpu s",
            "nginx grew KiB",
            "ours grew KiB"
        );
        let mut ratios = Vec::new();
        for round in 1..=ROUNDS {
            let nginx = transfer(place, Proxy::Nginx, up);
            let ours = transfer(place, Proxy::Nightlatch, up);
            let ratio = ours.mib_per_second / nginx.mib_per_second;
            ratios.push(ratio);
            println!(
                "{round:>6} {:>12.0} {:>12.0} {ratio:>7.2} {:>12.2} {:>12.2} {:>16} {:>16}",
                nginx.mib_per_second,
                ours.mib_per_second,
                nginx.cpu_seconds,
                ours.cpu_seconds,
                nginx.grown_kib,
                ours.grown_kib
            );
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "\n  ours / nginx: median {:.2} [{:.2}-{:.2}]\n",
            ratios[ROUNDS / 2],
            ratios[0],
            ratios[ROUNDS - 1]
        );
    }
}

fn transfer(place: &Place, proxy: Proxy, up: bool) -> Moved {
    let server = place.server(proxy, false);
    let (url, cookie) =
        (place.url(proxy, false, if up { "/upload/it" } else { "/big" }), place.cookie(false));
    let big = place.folder().join("big").display().to_string();
    let mut arguments = vec!["--silent", "--fail", "--output", "/dev/null", "--header", &cookie];
    let speed = if up { "%{speed_upload}" } else { "%{speed_download}" };
    arguments.extend(["--write-out", speed]);
    if up {
        arguments.extend(["--header", "Expect:", "--upload-file", &big]);
    }
    arguments.push(&url);
    let (before, held) = (server.cpu_seconds(), server.resident_kib());
    let done = AtomicBool::new(false);
    let (output, most) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = held;
            while !done.load(Relaxed) {
                most = most.max(server.resident_kib());
                thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let output = pinned(CLIENTS, "curl", &arguments).output().expect("curl could not be started");
        done.store(true, Relaxed);
        (output, watch.join().unwrap())
    });
    assert!(output.status.success(), "curl failed: {}", String::from_utf8_lossy(&output.stderr));
    let speed: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    Moved {
        mib_per_second: speed / f64::from(1 << 20),
        cpu_seconds: server.cpu_seconds() - before,
        grown_kib: most - held,
    }
}
