//! The names of policy rules, numbered so that a register can carry one.

use nightlatch_core::RuleId;
use std::sync::{PoisonError, RwLock};

/// Every rule name that was ever seen by this run. Grows by the number of rules of policies, not of sessions.
#[derive(Debug, Default)]
pub(crate) struct Rules(RwLock<Vec<String>>);

impl Rules {
    /// The number of the rule with this name.
    pub(crate) fn number(&self, name: &str) -> RuleId {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        RuleId::new(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// Every name, in the order of their numbers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The name of the rule with this number.
    pub(crate) fn name(&self, rule: RuleId) -> String {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        names.get(rule.number() as usize).cloned().unwrap_or_default()
    }
}
