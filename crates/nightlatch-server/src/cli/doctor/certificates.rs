//! The gateway's certificates: can they be used, for how long, and are they for the names that browsers ask for?

use super::{clock::said, configuration::private, report::Report};
use crate::{
    config::{Config, listen::TlsFiles},
    tls::{self, is_for},
    words::instant_ms,
};
use nightlatch_engine::{OsTime, TimeSource as _};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use std::{collections::BTreeSet, time::Duration};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Time enough to get another one.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Looks at each certificate, and at whether there is one for each name.
pub(super) fn look(report: &mut Report, config: &Config) {
    let mut usable = Vec::new();
    for files in &config.listen.tls {
        let what = format!("certificate `{}`", files.cert.display());
        match tls::load_one(files) {
            Ok(certified) => {
                one(report, &what, files, &certified);
                usable.push(certified);
            }
            Err(error) => {
                report.wrong("certificate", what, error, "`serve` does not start with it: name a PEM file with the chain, and the key it was made for");
            }
        }
    }
    if usable.len() == config.listen.tls.len() && !usable.is_empty() {
        names(report, config, &usable);
    }
}

fn one(report: &mut Report, what: &str, files: &TlsFiles, certified: &CertifiedKey) {
    private(report, "certificate.key", &format!("key `{}`", files.key.display()), &files.key);
    let mut chain = Vec::new();
    for der in &certified.cert {
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => chain.push(certificate),
            Err(error) => {
                return report.not_looked_at(
                    "certificate",
                    what,
                    format_args!("the chain cannot be taken apart: {error}"),
                );
            }
        }
    }
    let now = OsTime.wall_nanos() / 1_000_000_000;
    let Some(first_over) = chain.iter().map(|each| seconds(each.validity().not_after.timestamp())).min()
    else {
        return;
    };
    let last_begun =
        chain.iter().map(|each| seconds(each.validity().not_before.timestamp())).max().unwrap_or(0);
    let renew = "put a renewed one in its place and send SIGHUP (`systemctl reload nightlatch`)";
    let (over, begun) = (instant_ms(first_over * 1_000), instant_ms(last_begun * 1_000));
    let left = Duration::from_secs(first_over.saturating_sub(now));
    if now > first_over {
        report.wrong("certificate", what, format_args!("over since {over}: browsers refuse it"), renew);
    } else if now < last_begun {
        report.wrong(
            "certificate",
            what,
            format_args!("not valid before {begun}: browsers refuse it"),
            "wait, or see whether the clock of this machine is right",
        );
    } else if left < SOON {
        report.warning(
            "certificate",
            what,
            format_args!("fits its key, and is over in {} ({over})", said(left)),
            renew,
        );
    } else {
        report.good("certificate", what, format_args!("fits its key, and is good until {over}"));
    }
    for pair in chain.windows(2) {
        let [below, above] = pair else { continue };
        if below.issuer() != above.subject() {
            let seen =
                format!("`{}` is followed by `{}`, which did not issue it", below.subject(), above.subject());
            report.warning(
                "certificate.chain",
                what,
                seen,
                "put the certificates in order: the server's own, then who issued it, and so on",
            );
        }
    }
    if let [alone] = chain.as_slice()
        && alone.issuer() == alone.subject()
    {
        report.warning(
            "certificate.chain",
            what,
            "signed by itself: browsers take it only where it was installed",
            "use one of an authority that your browsers trust",
        );
    }
}

/// Seconds since the Unix epoch; nothing before it is told apart.
fn seconds(timestamp: i64) -> u64 {
    u64::try_from(timestamp).unwrap_or(0)
}

/// Whether some certificate is for each name that the configuration says browsers use.
fn names(report: &mut Report, config: &Config, usable: &[CertifiedKey]) {
    let hosts = config.apps.iter().filter_map(|app| app.matches.host.as_ref()).map(|host| host.name.as_str());
    let public = config.listen.public_url.as_ref().map(|url| url.host.as_str());
    for host in hosts.chain(public).collect::<BTreeSet<_>>() {
        let what = format!("certificate for `{host}`");
        let bare = host.trim_matches(['[', ']']);
        let covered =
            ServerName::try_from(bare).is_ok_and(|name| usable.iter().any(|one| is_for(one, &name)));
        if covered {
            report.good("certificate.name", what, "there is one");
        } else {
            report.wrong(
                "certificate.name",
                what,
                "none is for this name: browsers refuse the connection",
                "add one to `listen.tls`, or renew one with this name in it",
            );
        }
    }
}
