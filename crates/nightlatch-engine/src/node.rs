//! The short name of a node: its entries are named `node:index`, and its ledger's signatures are made under it.
//!
//! **If we crash here:** the name is there whole, or is made at the next start, before anything was named by it.

use crate::open::OpenError;
use nightlatch_store::DataDir;
use std::{fs, io};

/// The short name of this node, made once: entries are named `node:index`. There whole or not at all, for the ledger's
/// signatures are made under it.
pub(crate) fn name(data: &DataDir) -> Result<String, OpenError> {
    let path = data.path().join("node");
    match fs::read_to_string(&path) {
        Ok(name) if is_node_name(name.trim()) => return Ok(name.trim().to_owned()),
        Ok(_) => {
            let what = format!(
                "`{}` holds no name; write it back: it is the last part of the first line of `ledger/checkpoint`",
                path.display()
            );
            return Err(OpenError::NodeName(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::NodeName(error)),
    }
    let name = crate::secret::node_name()?;
    let prepared = data.path().join("node.new");
    let write = || {
        fs::write(&prepared, format!("{name}\n"))?;
        fs::File::open(&prepared)?.sync_all()?;
        fs::rename(&prepared, &path)?;
        fs::File::open(data.path())?.sync_all()
    };
    write().map_err(OpenError::NodeName)?;
    Ok(name)
}

/// Whether this can be the name of a node: it stands in the names of entries and in the key's.
fn is_node_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
