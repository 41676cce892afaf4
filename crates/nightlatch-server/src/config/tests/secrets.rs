//! Loading secrets: where they come from is handed in, so nothing here touches a disk.

use std::io;
use std::path::{Path, PathBuf};

use super::super::api_key::Role;
use super::super::secrets::{LoadedKey, SecretError};
use super::{FULL, read};

const LONG: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn load(file: Result<&str, io::ErrorKind>, env: Option<&str>) -> Result<Vec<LoadedKey>, Vec<SecretError>> {
    let read_file = |path: &Path| {
        assert_eq!(path, Path::new("/etc/nightlatch/secrets/trading-backend"));
        file.map(str::to_owned).map_err(io::Error::from)
    };
    let read_env = |name: &str| {
        assert_eq!(name, "AUDIT_KEY");
        env.map(str::to_owned)
    };
    read(FULL).config.unwrap().read_secrets(&read_file, &read_env)
}

#[test]
fn keys_are_loaded_without_the_newline_and_do_not_show_themselves() {
    let loaded = load(Ok(&format!("{LONG}\r\n")), Some(OTHER)).unwrap();
    let names: Vec<_> = loaded.iter().map(|key| (key.name.as_str(), key.role, key.secret.reveal())).collect();
    assert_eq!(names, [("trading-backend", Role::Issuer, LONG), ("audit", Role::Auditor, OTHER)]);
    assert!(!format!("{loaded:?}").contains(LONG));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let path = PathBuf::from("/etc/nightlatch/secrets/trading-backend");
    let wrong = load(Err(io::ErrorKind::NotFound), None).unwrap_err();
    assert_eq!(
        wrong,
        [
            SecretError::Unreadable {
                name: "trading-backend".to_owned(),
                path,
                why: io::Error::from(io::ErrorKind::NotFound).to_string()
            },
            SecretError::NotSet { name: "audit".to_owned(), variable: "AUDIT_KEY".to_owned() },
        ]
    );
    assert_eq!(
        wrong[0].to_string(),
        "the secret of API key `trading-backend` cannot be read from `/etc/nightlatch/secrets/trading-backend`: entity not found"
    );
}

#[test]
fn weak_and_mangled_secrets_are_refused_without_being_shown() {
    for (text, expected) in [
        (&LONG[1..], SecretError::TooShort { name: "audit".to_owned(), length: 31 }),
        ("", SecretError::TooShort { name: "audit".to_owned(), length: 0 }),
        ("0123456789abcdef 0123456789abcdef", SecretError::Malformed { name: "audit".to_owned() }),
        ("0123456789abcdef\n0123456789abcdef", SecretError::Malformed { name: "audit".to_owned() }),
        ("0123456789abcdef0123456789abcdeé", SecretError::Malformed { name: "audit".to_owned() }),
        (LONG, SecretError::Shared { first: "trading-backend".to_owned(), second: "audit".to_owned() }),
    ] {
        let wrong = load(Ok(LONG), Some(text)).unwrap_err();
        assert_eq!(wrong, [expected]);
        assert!(text.is_empty() || !format!("{wrong:?} {}", wrong[0]).contains(text));
    }
}
