//! Which version of the policy is in force.
//!
//! Every start and end names the version it happened under, so a policy with other limits must have another number. The last one
//! in force stands in a small file; opening with the same limits keeps its number, and with others counts up. The file is put in place
//! before anything is recorded under the new number. If it is lost, counting begins anew, and the `started` entry, which has
//! the limits themselves, tells the two apart.

use crate::entry::PolicyRecord;
use nightlatch_core::Policy;
use nightlatch_store::DataDir;
use std::{fs, io};

/// The policy under the version that it has in this directory.
pub(crate) fn versioned(data: &DataDir, mut policy: Policy) -> io::Result<Policy> {
    let path = data.path().join("policy");
    let before = match fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice::<PolicyRecord>(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(before) = before {
        let same = PolicyRecord { version: before.version, ..PolicyRecord::of(&policy) } == before;
        policy.version = before.version + u32::from(!same);
        if same {
            return Ok(policy);
        }
    }
    let prepared = data.path().join("policy.new");
    fs::write(&prepared, serde_json::to_vec(&PolicyRecord::of(&policy))?)?;
    fs::File::open(&prepared)?.sync_all()?;
    fs::rename(&prepared, &path)?;
    fs::File::open(data.path())?.sync_all()?;
    Ok(policy)
}
