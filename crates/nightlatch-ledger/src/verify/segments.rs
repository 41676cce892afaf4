//! Checking a ledger's own segment files: the same scan that recovery uses, with every checkpoint held against it.

use std::{io, path::Path};

use super::{
    claims::Claims,
    report::{Finding, Report},
};
use crate::scan::{Damage, DamageKind, Scan, Step};

pub(super) fn check(dir: &Path, mut claims: Claims) -> io::Result<Report> {
    let mut scan = Scan::new(dir, claims.covered())?;
    loop {
        match scan.step()? {
            Step::Block(block) => {
                for leaf in &block.frames.leaves {
                    claims.push(*leaf);
                }
                if claims.frontier().root() != block.header.root {
                    return Ok(claims.stop(Finding::Damaged(block.damage(DamageKind::Root))));
                }
            }
            Step::End(tail) => return Ok(claims.finish(tail.torn_bytes)),
            // Nothing stands where more should be: not damage but a cut, and the checkpoint says how much is missing.
            Step::Damage(Damage { kind: DamageKind::Missing, .. }) => return Ok(claims.finish(0)),
            Step::Damage(damage) => return Ok(claims.stop(Finding::Damaged(damage))),
        }
    }
}
