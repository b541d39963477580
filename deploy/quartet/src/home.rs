//! The data directory: for nobody but its owner, and for one process at a time.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::settings::Trial;

/// A data directory that this process holds until it is dropped.
pub struct Home {
    path: PathBuf,
    lock: Option<File>,
    temporary: Option<TempDir>,
}

/// What trying to hold a data directory gives.
pub enum Held {
    Ours(Home),
    /// Another process has it; the number of that process, if it could be read.
    Taken(Option<u32>),
}

impl Home {
    /// Makes the directory `path` if it is missing (mode 0700), and takes its lock.
    pub fn hold(path: &Path) -> anyhow::Result<Held> {
        let shown = path.display();
        if !path.exists() {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(path).with_context(|| format!("can't make the data directory {shown}"))?;
        }
        let path = path.canonicalize().with_context(|| format!("can't use the data directory {shown}"))?;
        let mode =
            path.metadata().with_context(|| format!("can't use the data directory {shown}"))?.permissions().mode();
        if mode & 0o022 != 0 {
            bail!("others can write into the data directory {shown}: `chmod 700` it");
        }
        let lock = path.join("lock");
        let options = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(&lock);
        let mut file = options.with_context(|| format!("can't open {}", lock.display()))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "{}", std::process::id())?;
                Ok(Held::Ours(Home { path, lock: Some(file), temporary: None }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).ok();
                Ok(Held::Taken(text.parse().ok()))
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", lock.display())),
        }
    }

    /// Like `hold`, for a server: a directory that is taken is refused.
    pub fn serve(path: &Path) -> anyhow::Result<Home> {
        match Home::hold(path)? {
            Held::Ours(home) => Ok(home),
            Held::Taken(process) => {
                bail!(
                    "{} holds the data directory {}: stop it, or name another with `--data`",
                    by(process),
                    shown(path)
                )
            }
        }
    }

    /// A test's server's: one that is to be kept, or one of its own.
    pub fn of_trial(trial: &Trial) -> anyhow::Result<Home> {
        match &trial.keep {
            Some(path) => Home::serve(path),
            None => Home::temporary(),
        }
    }

    /// A directory of its own, which goes with this value.
    fn temporary() -> anyhow::Result<Home> {
        let folder =
            tempfile::Builder::new().prefix("quartet-").tempdir().context("can't make a temporary directory")?;
        let Held::Ours(mut home) = Home::hold(folder.path())? else { bail!("a new directory is taken") };
        home.temporary = Some(folder);
        Ok(home)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(socket(&self.path));
        drop(self.lock.take());
        if let Some(folder) = self.temporary.take() {
            let _ = folder.close();
        }
    }
}

/// The socket on which the operator reaches the server of a data directory.
pub fn socket(data: &Path) -> PathBuf {
    data.join("quartet.sock")
}

/// How a process is called in messages.
pub fn by(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |process| format!("the process {process}"))
}

/// A path as it is from everywhere.
pub fn shown(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f23_a_data_directory_is_one_process_s() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let home = Home::serve(&data)?;
        assert_eq!(std::fs::metadata(&data)?.permissions().mode() & 0o777, 0o700);
        let refusal = Home::serve(&data).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refusal.starts_with(&format!("the process {} holds", std::process::id())), "{refusal}");
        drop(home);
        Home::serve(&data)?;
        Ok(())
    }
}
