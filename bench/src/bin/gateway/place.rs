//! Where it is measured: an application (nginx answering from memory), nginx as a plain proxy before it, and our program before it.

use nightlatch_bench::{
    process::Served,
    program::{Api, Program, Setting, free_port, wait_for},
};
use std::{fs, os::unix::fs::MetadataExt, path::Path};
use tempfile::TempDir;

/// Everything that serves runs here.
pub(crate) const SERVERS: usize = 0;
/// Everything that asks runs here.
pub(crate) const CLIENTS: usize = 1;

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proxy {
    Nginx,
    /// Of the same HTTP library as ours, and nothing else.
    Bare,
    Nightlatch,
}

/// All that runs, until it is dropped.
pub(crate) struct Place {
    nginx: Served,
    bare: Served,
    plain: Program,
    tls: Program,
    _application: Served,
    ports: Ports,
    token: String,
    tls_token: String,
    folder: TempDir,
}

struct Ports {
    application: u16,
    nginx: u16,
    nginx_tls: u16,
    bare: u16,
}

impl Place {
    /// Starts all of it and signs somebody in.
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let ports =
            Ports { application: free_port(), nginx: free_port(), nginx_tls: free_port(), bare: free_port() };
        certificate(at);
        fs::write(at.join("application.conf"), application_conf(at, &ports)).unwrap();
        fs::write(at.join("proxy.conf"), proxy_conf(at, &ports)).unwrap();
        fs::create_dir(at.join("upload")).unwrap();
        let application = nginx(at, "application.conf");
        let proxy = nginx(at, "proxy.conf");
        let own = std::env::current_exe().unwrap().display().to_string();
        let ports_of_bare = [ports.bare, ports.application].map(|port| port.to_string());
        let bare = Served::start(Some(SERVERS), &own, &["bare", &ports_of_bare[0], &ports_of_bare[1]]);
        let ours = |name, tls| {
            let (application, processor) = (ports.application, Some(SERVERS));
            Program::start(at, &Setting { name, tls, application, absolute: "12h", processor })
        };
        let (plain, tls) = (ours("plain", false), ours("tls", true));
        for port in [ports.application, ports.nginx, ports.nginx_tls, ports.bare] {
            wait_for(port);
        }
        let sign_in = |program: &Program| Api::connect(program.admin).start_session("bench", None);
        let (token, tls_token) = (sign_in(&plain), sign_in(&tls));
        Place { nginx: proxy, bare, plain, tls, _application: application, ports, token, tls_token, folder }
    }

    /// The process that is asked.
    pub(crate) fn server(&self, proxy: Proxy, tls: bool) -> &Served {
        match (proxy, tls) {
            (Proxy::Nginx, _) => &self.nginx,
            (Proxy::Bare, _) => &self.bare,
            (Proxy::Nightlatch, false) => &self.plain.served,
            (Proxy::Nightlatch, true) => &self.tls.served,
        }
    }

    /// Where it is asked.
    pub(crate) fn url(&self, proxy: Proxy, tls: bool, path: &str) -> String {
        let (scheme, port) = match (proxy, tls) {
            (Proxy::Nginx, false) => ("http", self.ports.nginx),
            (Proxy::Nginx, true) => ("https", self.ports.nginx_tls),
            (Proxy::Bare, _) => ("http", self.ports.bare),
            (Proxy::Nightlatch, false) => ("http", self.plain.gateway),
            (Proxy::Nightlatch, true) => ("https", self.tls.gateway),
        };
        format!("{scheme}://127.0.0.1:{port}{path}")
    }

    /// The field that names the session. nginx gets it too, so that both forward heads of one size.
    pub(crate) fn cookie(&self, tls: bool) -> String {
        if tls {
            format!("Cookie: __Host-nightlatch={}", self.tls_token)
        } else {
            format!("Cookie: nightlatch-loopback={}", self.token)
        }
    }

    /// Where files may be put.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn nginx(at: &Path, conf: &str) -> Served {
    let (prefix, conf) = (at.display().to_string(), at.join(conf).display().to_string());
    Served::start(Some(SERVERS), "nginx", &["-p", &prefix, "-c", &conf, "-g", "daemon off;"])
}

fn application_conf(at: &Path, ports: &Ports) -> String {
    let Ports { application, .. } = ports;
    common(
        at,
        "application",
        &format!(
            r#"
    server {{
        listen 127.0.0.1:{application} backlog=4096 reuseport;
        keepalive_requests 100000000;
        client_max_body_size 0;
        location / {{ return 200 "ok\n"; }}
        location /big {{ root {at}; sendfile on; }}
        location /upload/ {{ root {at}; dav_methods PUT; client_body_in_file_only off; }}
    }}"#,
            at = at.display()
        ),
    )
}

fn proxy_conf(at: &Path, ports: &Ports) -> String {
    let Ports { application, nginx, nginx_tls, .. } = ports;
    common(
        at,
        "proxy",
        &format!(
            r#"
    upstream application {{ server 127.0.0.1:{application}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{nginx} backlog=4096;
        listen 127.0.0.1:{nginx_tls} ssl http2 backlog=4096;
        ssl_certificate {at}/cert.pem;
        ssl_certificate_key {at}/key.pem;
        keepalive_requests 100000000;
        client_max_body_size 0;
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
        }}
    }}"#,
            at = at.display()
        ),
    )
}

fn common(at: &Path, name: &str, servers: &str) -> String {
    let user = if is_root() { "user root;" } else { "" };
    let at = at.display();
    format!(
        r"
{user}
worker_processes 1;
pid {at}/{name}.pid;
error_log {at}/{name}.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 600;
    client_body_temp_path {at}/{name}-body;
    proxy_temp_path {at}/{name}-proxy;
    fastcgi_temp_path {at}/{name}-fastcgi;
    uwsgi_temp_path {at}/{name}-uwsgi;
    scgi_temp_path {at}/{name}-scgi;
{servers}
}}
"
    )
}

/// As root nginx would become another user, who cannot read the folder of this run.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn certificate(at: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    fs::write(at.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(at.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}
