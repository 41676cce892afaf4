//! Every test there is, and what it takes to run them.

use crate::{
    run::{cargo, in_folder},
    tidy, tools,
};

/// Installs what is missing and runs all tests.
pub(crate) fn run() -> Result<(), String> {
    tools::need_node()?;
    tools::apt("curl", "curl")?;
    tools::apt("chromium", "chromium")?;
    tools::apt("h2load", "nghttp2-client")?;
    tools::apt("nginx", "nginx")?;
    tools::apt("slowhttptest", "slowhttptest")?;
    if let Err(missing) = tools::apt("/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream") {
        println!("nginx with PROXY protocol: NOT RUN, {missing}");
    }
    tools::apt("apache2", "apache2-bin")?;
    tools::apt("faketime", "faketime")?;
    tools::python(&["websockets==17.4", "docker==7.2.0", "h2==4.4.1", "PyJWT[crypto]==2.15.1"])?;
    if let Err(missing) = tools::autobahn() {
        println!("Autobahn's WebSocket suite: NOT RUN, {missing}");
    }
    if let Err(missing) = witness() {
        println!("a witness that is not ours: NOT RUN, {missing}");
    }
    tools::npm_ci("examples/brokerage")?;
    tools::npm_ci("tests/clients")?;

    tidy::run()?;
    cargo(&["test", "--workspace"])?;
    // What `cargo test` runs a few of, for a minute.
    let simulate = ["run", "--quiet", "--release", "--package", "nightlatch-sim", "--bin", "simulate", "--"];
    cargo(&[&simulate[..], &["--seeds", "1000000", "--seconds", "60"]].concat())?;
    in_folder("examples/brokerage", "npm", &["test"])?;
    // The program itself, with real clients: curl, npm `ws`, Python `websockets`, Chromium.
    cargo(&["build", "--package", "nightlatch-server"])?;
    in_folder("tests/clients", "npm", &["test"])?;
    // And killed, round after round, under load: about a minute.
    in_folder("tests/clients", "node", &["crash/loop.js", "40"])
}

/// What cosigns the ledger's checkpoints: `litewitness`, which has its key from an agent of OpenSSH's.
fn witness() -> Result<(), String> {
    tools::apt("ssh-agent", "openssh-client")?;
    tools::go_install("filippo.io/torchwood/cmd/litewitness", "v0.9.0")
}

/// All of Autobahn's WebSocket suite.
pub(crate) fn autobahn() -> Result<(), String> {
    tools::need_node()?;
    tools::autobahn()?;
    tools::npm_ci("tests/clients")?;
    cargo(&["build", "--package", "nightlatch-server"])?;
    in_folder("tests/clients", "npm", &["run", "autobahn"])
}
