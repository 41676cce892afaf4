//! Pages of the reference that are made by the program are as the program would make them now.
//!
//! To write them anew: `NIGHTLATCH_BLESS=1 cargo test -p nightlatch-server`.

use std::{fs, path::Path};

#[test]
fn the_reference_is_not_stale() {
    let pages = [
        ("configuration.md", crate::config::reference_markdown()),
        ("openapi.json", crate::api::openapi_document()),
        ("metrics.md", crate::metrics::reference_markdown()),
        ("problems.md", crate::api::problems_markdown()),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, made) in pages {
        let file = folder.join(name);
        if std::env::var_os("NIGHTLATCH_BLESS").is_some() {
            fs::write(&file, &made).unwrap();
        }
        let stands = fs::read_to_string(&file).unwrap_or_default();
        assert!(stands == made, "docs/reference/{name} is stale; write it anew with NIGHTLATCH_BLESS=1");
    }
}
