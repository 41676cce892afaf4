//! `[identity.oidc]`: sign-in at an OpenID Connect provider, or at one of several.
//!
//! The issuer is kept as it is written, since it is compared and never interpreted; the check only sees to it that nobody on the way
//! could answer in its place. Whether the provider is there is not asked: a file must be checkable where its provider is not.

use std::path::PathBuf;

use serde::Serialize;

use super::api_key::{SecretSource, variable};
use super::code::Code;
use super::duration::Millis;
use super::key::{Form, Key, Need, Section, Status, Words};
use super::mistake::{Mistake, not_empty};
use super::notes::Notes;
use super::policy::Policy;
use super::reader::Table;
use super::source::quoted;
use super::url;

pub(super) static SECTION: Section = Section {
    path: "identity.oidc",
    header: "[[identity.oidc]]",
    about: "An OpenID Connect provider at which people sign in; one table, or a list of them to choose from. It must know `<origin>/_nightlatch/callback` as a redirect URI; where there are several, `<origin>/_nightlatch/callback/<name>`. Give exactly one of `client_secret_file` and `client_secret_env`.",
    keys: &[
        Key {
            name: "name",
            form: Form::Name,
            need: Need::Default("\"firm\""),
            status: Status::Now,
            example: "\"firm\"",
            means: "How addresses call it; each once.",
        },
        Key {
            name: "display",
            form: Form::Text,
            need: Need::Optional("the name"),
            status: Status::Now,
            example: "\"Example Securities\"",
            means: "What people read where there are several to choose from.",
        },
        Key {
            name: "issuer",
            form: Form::Issuer,
            need: Need::Required,
            status: Status::Now,
            example: "\"https://idp.example.com\"",
            means: "The provider's issuer identifier, to the letter. With its name for somebody it is the subject: another issuer makes everybody somebody else. `http` is taken on loopback only.",
        },
        Key {
            name: "client_id",
            form: Form::Text,
            need: Need::Required,
            status: Status::Now,
            example: "\"nightlatch\"",
            means: "What the provider calls this gateway.",
        },
        Key {
            name: "client_secret_file",
            form: Form::File,
            need: Need::Optional("`client_secret_env` is used"),
            status: Status::Now,
            example: "\"secrets/oidc\"",
            means: "The file that holds the client's secret and nothing else; a newline at its end is ignored.",
        },
        Key {
            name: "client_secret_env",
            form: Form::Variable,
            need: Need::Optional("`client_secret_file` is used"),
            status: Status::Now,
            example: "\"OIDC_SECRET\"",
            means: "The environment variable that holds the secret.",
        },
        Key {
            name: "client_secret",
            form: Form::Any,
            need: Need::Optional(""),
            status: Status::Never(
                "put it into a file and write `client_secret_file = \"secrets/..\"`; then make a new secret, as this one has been read",
            ),
            example: "",
            means: "Always refused: secrets are not written into the configuration.",
        },
        Key {
            name: "client_authentication",
            form: Form::Choice(Words {
                now: &["client_secret_basic", "client_secret_post"],
                later: &["private_key_jwt"],
            }),
            need: Need::Default("\"client_secret_basic\""),
            status: Status::Now,
            example: "\"client_secret_post\"",
            means: "How the secret is shown to the provider.",
        },
        Key {
            name: "scopes",
            form: Form::Texts,
            need: Need::Default("[\"openid\"]"),
            status: Status::Now,
            example: "[\"openid\", \"groups\"]",
            means: "What is asked for; `openid` must be among it.",
        },
        Key {
            name: "groups_claim",
            form: Form::Text,
            need: Need::Optional("nobody has groups"),
            status: Status::Now,
            example: "\"groups\"",
            means: "The claim of the ID token that lists the groups. Where it is missing or not whole, nobody is signed in.",
        },
        Key {
            name: "provider_session_max_age",
            form: Form::Duration,
            need: Need::Optional("everybody authenticates anew"),
            status: Status::Now,
            example: "\"5m\"",
            means: "How long ago somebody may have authenticated at the provider. Within this time an ended session is begun again without a prompt: an idle limit shorter than it keeps nobody out.",
        },
        Key {
            name: "ca_file",
            form: Form::File,
            need: Need::Optional("the certificate authorities of the system"),
            status: Status::Now,
            example: "\"tls/idp-ca.pem\"",
            means: "The certificate authorities that may vouch for the provider's servers, in PEM, in place of the system's.",
        },
    ],
};

/// `[[identity.oidc]]`, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Oidc {
    /// How addresses call it.
    pub(crate) name: String,
    /// What people read.
    pub(crate) display: String,
    /// The issuer, to the letter.
    pub(crate) issuer: String,
    /// What it calls us.
    pub(crate) client_id: String,
    /// Where the secret is.
    pub(crate) secret: SecretSource,
    /// How it is shown.
    pub(crate) authentication: ClientAuthentication,
    /// What is asked for.
    pub(crate) scopes: Vec<String>,
    /// Which claim lists groups.
    pub(crate) groups_claim: Option<String>,
    /// How old an authentication may be; not older than the sign-in, if not said.
    pub(crate) provider_session_max_age: Option<Millis>,
    /// Who may vouch for its servers, if not the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
}

/// How a secret is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuthentication {
    /// In a header.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
}

/// Reads every provider.
pub(super) fn read(notes: &mut Notes<'_>, identity: &Table<'_>, policy: Option<&Policy>) -> Vec<Oidc> {
    let mut list: Vec<Oidc> = Vec::new();
    let mut names = Vec::new();
    for table in identity.children(notes, &SECTION, "oidc", true) {
        let name = table.name(notes, &mut names);
        let display = table.text(notes, "display", |text| not_empty(text).map(str::to_owned));
        let issuer = table.text(notes, "issuer", issuer);
        let client_id = table.text(notes, "client_id", |text| not_empty(text).map(str::to_owned));
        let secret = source(notes, &table);
        let authentication = table.choice(notes, "client_authentication", ClientAuthentication::of);
        let scopes = table.texts(notes, "scopes", scope);
        let groups_claim = table.text(notes, "groups_claim", |text| not_empty(text).map(str::to_owned));
        let provider_session_max_age = table.text(notes, "provider_session_max_age", Millis::parse);
        let ca_file = table.file(notes, "ca_file");
        if let (Some(age), Some(policy)) = (provider_session_max_age, policy) {
            silent_return(notes, &table, age, policy.idle);
        }
        if !scopes.iter().any(|scope| scope == "openid") {
            let mistake = Mistake::new(
                Code::MissingScope,
                "`scopes` does not have `openid`, without which nobody is told apart",
            );
            notes.blame(&table.at("scopes"), mistake.hint("write `scopes = [\"openid\", ..]`"));
        }
        let (Some(name), Some(issuer), Some(client_id), Some(secret), Some(authentication)) =
            (name, issuer, client_id, secret, authentication)
        else {
            continue;
        };
        if list.iter().any(|other| other.issuer == issuer) {
            let message =
                format!("there is another `[[identity.oidc]]` with the issuer `{}`", quoted(&issuer));
            let hint = "list each provider once; one name there is one subject here, whichever was chosen";
            notes.blame(&table.at("issuer"), Mistake::new(Code::DuplicateName, message).hint(hint));
        }
        let display = display.unwrap_or_else(|| name.clone());
        list.push(Oidc {
            name,
            display,
            issuer,
            client_id,
            secret,
            authentication,
            scopes,
            groups_claim,
            provider_session_max_age,
            ca_file,
        });
    }
    list
}

/// Says what an idle limit is worth beside an authentication that counts for longer.
fn silent_return(notes: &mut Notes<'_>, table: &Table<'_>, age: Millis, idle: Millis) {
    if age <= idle {
        return;
    }
    let message = format!(
        "whoever finds a browser whose session ended after `idle`, {idle}, gets a new one without a prompt until {age} after its owner authenticated"
    );
    let hint = "remove `provider_session_max_age`, or make it no longer than the shortest idle limit";
    notes.blame(&table.at("provider_session_max_age"), Mistake::new(Code::SilentReturn, message).hint(hint));
}

/// An issuer identifier (OpenID Connect Core section 2): a URL without query and fragment.
fn issuer(text: &str) -> Result<String, Mistake> {
    let bad = |what: &str| Mistake::new(Code::BadUrl, format!("`{}` {what}", quoted(text)));
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    let (origin, path) = text.split_at(text[start..].find('/').map_or(text.len(), |slash| start + slash));
    let origin = url::origin(origin)?;
    if text.ends_with("/.well-known/openid-configuration") {
        return Err(bad("is where the metadata is").hint("write what stands before `/.well-known`"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    if !path.bytes().all(plain) {
        return Err(bad("has more than scheme, host, port and a path"));
    }
    if !origin.https && !origin.is_loopback() {
        let hint = "write it with `https://`; `http://` is for a provider on this machine";
        return Err(bad("could be answered for by anybody on the way").hint(hint));
    }
    Ok(text.to_owned())
}

/// One `scope` (RFC 6749 section 3.3).
fn scope(text: &str) -> Result<String, Mistake> {
    not_empty(text)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        return Ok(text.to_owned());
    }
    Err(Mistake::new(Code::BadName, format!("`{}` cannot be a scope", quoted(text)))
        .hint("one scope in each text, without spaces"))
}

fn source(notes: &mut Notes<'_>, table: &Table<'_>) -> Option<SecretSource> {
    let file = table.file(notes, "client_secret_file");
    let env = table.text(notes, "client_secret_env", variable);
    let hint = "give one of `client_secret_file = \"secrets/..\"` and `client_secret_env = \"..\"`";
    match (table.has("client_secret_file"), table.has("client_secret_env"), table.has("client_secret")) {
        (true, true, _) => {
            let mistake = Mistake::new(Code::SecretSource, "two keys say where the client's secret is");
            notes.blame(&table.at("client_secret_env"), mistake.hint(hint));
            None
        }
        (false, false, false) => {
            let mistake = Mistake::new(Code::SecretSource, "nothing says where the client's secret is");
            notes.blame(&table.at("client_secret_file"), mistake.hint(hint));
            None
        }
        _ => file.map(SecretSource::File).or(env.map(SecretSource::Env)),
    }
}

// === impl ClientAuthentication ===

impl ClientAuthentication {
    fn of(word: &str) -> Option<Self> {
        match word {
            "client_secret_basic" => Some(Self::ClientSecretBasic),
            "client_secret_post" => Some(Self::ClientSecretPost),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_to_the_letter_or_refused() {
        for text in [
            "https://idp.example",
            "https://idp.example/",
            "https://login.example/TENANT/v2.0",
            "http://127.0.0.1:4000",
            "http://localhost/realms/desk",
        ] {
            assert_eq!(issuer(text).as_deref(), Ok(text));
        }
        for text in [
            "http://idp.example",
            "https://idp.example?x=1",
            "https://idp.example/#x",
            "https://idp.example/a b",
            "https://user@idp.example",
            "https://idp.example/.well-known/openid-configuration",
            "idp.example",
            "",
        ] {
            assert!(issuer(text).is_err(), "{text}");
        }
    }
}
