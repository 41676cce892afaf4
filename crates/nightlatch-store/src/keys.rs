//! Secret keys by name, made at first use.
//!
//! Nobody should have to make a key before the first start, and nobody should be able to lose one by a typing error in
//! a configuration. So a key is asked for by name; the first to ask makes it, and every later one gets the same. A key
//! is one line of hexadecimal in a file of its own, readable by this user only, because that can be backed up, moved
//! and looked at with the tools an operator has.
//!
//! A key file that others may read is refused, and so is one that does not hold a key. Making a new key in its place
//! would be worse than stopping: all that the old one sealed would be lost, and nobody would know why.
//!
//! **If we crash here:** a key is prepared beside its place and moved there whole and durable before anybody is given
//! it. Either nobody has it, or it will be there.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;

use crate::file::{self, FileError, OpenToOthers, failed};
use crate::hex;

/// Held while a key is made, whichever [`Keys`] makes it, so that two who ask for a new key get the same one. Other
/// processes are kept out by the lock of the data directory.
static MAKING: Mutex<()> = Mutex::new(());

/// The directory of secret keys.
#[derive(Debug, Clone)]
pub struct Keys {
    dir: PathBuf,
}

/// 256 random bits. Does not show itself in debug output, and cannot be compared by accident.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name could lead out of the directory, or be one that a file system confuses with another.
    #[error("`{name}` is not a name for a key: use 1 to 64 of a-z, 0-9 and `-`")]
    BadName {
        /// The name that was asked for.
        name: String,
    },
    /// Other users of the machine may have read the key.
    #[error(transparent)]
    OpenToOthers(#[from] OpenToOthers),
    /// The file is there and is not a key.
    #[error("`{}` does not hold a key (64 lower-case hexadecimal digits): restore it from a backup, or remove it to have a new one made, which cannot open what the old one sealed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system's random number generator failed.
    #[error("no random numbers to be had for a new key")]
    NoRandomness,
    /// The operating system refused. If the key is new it was not given to anybody; ask again.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Keys {
    /// The keys in `dir`, which is created (mode 0700) if it is not there.
    pub fn open(dir: impl AsRef<Path>) -> Result<Keys, FileError> {
        let dir = dir.as_ref().to_owned();
        file::make_dir(&dir)?;
        Ok(Keys { dir })
    }

    /// The key called `name`, if it is there; none is made.
    pub fn key_if_there(&self, name: &str) -> Result<Option<SecretKey>, KeyError> {
        read(&self.path(name)?)
    }

    /// Removes the keys whose names begin with `prefix`, but for those in `kept`. Durable when it returns, and idempotent.
    pub fn remove_others(&self, prefix: &str, kept: &[&str]) -> Result<(), KeyError> {
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = fs::read_dir(&self.dir).map_err(failed("list", &self.dir))?;
        let mut removed = false;
        for entry in entries {
            let path = entry.map_err(failed("list", &self.dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with(prefix) && !kept.contains(&name)) {
                file::remove(&path)?;
                removed = true;
            }
        }
        if removed {
            file::sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// The key called `name`: the one that is there, or a new one that is durable when this returns.
    ///
    /// The same name gives the same key for ever. Reads the file each time: ask once and keep the answer.
    pub fn key(&self, name: &str) -> Result<SecretKey, KeyError> {
        let path = self.path(name)?;
        // The lock guards no memory, so a thread that died with it left nothing half done.
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&path)? {
            Some(key) => {
                // Its maker may have died, or failed, between the rename and this.
                file::sync_dir(&self.dir)?;
                Ok(key)
            }
            None => make(&path),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, KeyError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(KeyError::BadName { name: name.to_owned() });
        }
        Ok(self.dir.join(name))
    }
}

impl SecretKey {
    /// The bits.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

fn read(path: &Path) -> Result<Option<SecretKey>, KeyError> {
    let Some(file) = file::open_if_there(path)? else { return Ok(None) };
    file::refuse_if_open_to_others::<KeyError>(&file, path)?;
    // One byte more than a key and its line feed, to see that there is no more.
    let mut content = Vec::new();
    file.take(66).read_to_end(&mut content).map_err(failed("read", path))?;
    let text = str::from_utf8(&content).unwrap_or_default();
    let key = hex::decode(text.strip_suffix('\n').unwrap_or(text));
    key.map(|bytes| Some(SecretKey(bytes))).ok_or_else(|| KeyError::Damaged { path: path.to_owned() })
}

fn make(path: &Path) -> Result<SecretKey, KeyError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    file::replace::<KeyError>(path, |writer| {
        writeln!(writer, "{}", hex::encode(&bytes)).map_err(failed("write", path))?;
        Ok(())
    })?;
    Ok(SecretKey(bytes))
}

#[cfg(test)]
mod tests;
