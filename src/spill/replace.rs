//! Replaces a file whole or not at all: whoever reads it, after whatever has happened, finds the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::beside;

/// The steps that a disk can fail at; a test has one that does.
pub(super) trait Disk {
    type File: Write;

    fn create(&self, path: &Path) -> io::Result<Self::File>;
    fn sync(&self, file: Self::File) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// The disk of this machine.
pub(super) struct Machine;

impl Disk for Machine {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)
    }

    fn sync(&self, file: File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

/// Writes what the file is to hold beside its name, syncs that, and renames it. When this fails, nothing but the file as
/// it was is left.
pub(super) fn replace<D: Disk>(
    disk: &D,
    path: &Path,
    content: impl FnOnce(&mut BufWriter<D::File>) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = beside(path, "tmp");
    // What a process left that was killed at this.
    let _ = fs::remove_file(&temporary);
    let write = || {
        let mut writer = BufWriter::new(disk.create(&temporary)?);
        content(&mut writer)?;
        disk.sync(writer.into_inner().map_err(io::IntoInnerError::into_error)?)?;
        disk.rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // Half a file is of use to nobody, and on a full disk in everybody's way.
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tempfile::TempDir;

    use super::*;

    /// Where a disk gives up, and how.
    #[derive(Clone, Copy, Debug)]
    enum Fails {
        Never,
        Create,
        /// After so many bytes; those before are written.
        Write(usize),
        Sync,
        Rename,
    }

    /// A disk that fails.
    struct Fake {
        fails: Fails,
        /// How many bytes go through at once.
        gulp: usize,
        seen: Cell<bool>,
    }

    struct FakeFile {
        file: File,
        left: usize,
        gulp: usize,
        /// A signal comes between any two writes.
        interrupted: bool,
    }

    impl Write for FakeFile {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let fits = bytes.len().min(self.gulp).min(self.left);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.left -= fits;
            self.file.write_all(&bytes[..fits])?;
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    impl Fake {
        fn fail(&self) -> io::Error {
            self.seen.set(true);
            io::ErrorKind::QuotaExceeded.into()
        }
    }

    impl Disk for Fake {
        type File = FakeFile;

        fn create(&self, path: &Path) -> io::Result<FakeFile> {
            let left = match self.fails {
                Fails::Create => return Err(self.fail()),
                Fails::Write(after) => after,
                _ => usize::MAX,
            };
            Ok(FakeFile { file: Machine.create(path)?, left, gulp: self.gulp, interrupted: false })
        }

        fn sync(&self, file: FakeFile) -> io::Result<()> {
            if matches!(self.fails, Fails::Sync) {
                return Err(self.fail());
            }
            Machine.sync(file.file)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            if matches!(self.fails, Fails::Rename) {
                return Err(self.fail());
            }
            Machine.rename(from, to)
        }
    }

    const NEW: &str = "first\nsecond and longer\nthird\n";

    fn lines(out: &mut BufWriter<FakeFile>) -> io::Result<()> {
        NEW.split_inclusive('\n').try_for_each(|line| out.write_all(line.as_bytes()))
    }

    #[test]
    fn whatever_fails_the_old_file_is_left_and_nothing_else() {
        let whole = NEW.len();
        let faults =
            [Fails::Create, Fails::Sync, Fails::Rename].into_iter().chain((0..whole).map(Fails::Write));
        for fails in faults {
            for (gulp, old) in [(1, None), (7, Some("old")), (usize::MAX, Some("old"))] {
                let folder = TempDir::new().unwrap();
                let path = folder.path().join("file");
                if let Some(old) = old {
                    fs::write(&path, old).unwrap();
                }
                let disk = Fake { fails, gulp, seen: Cell::default() };
                replace(&disk, &path, lines).unwrap_err();
                assert!(disk.seen.get() || matches!(fails, Fails::Write(_)));
                assert_eq!(fs::read_to_string(&path).ok().as_deref(), old, "{fails:?}");
                let left = fs::read_dir(folder.path()).unwrap().count();
                assert_eq!(left, usize::from(old.is_some()), "{fails:?} leaves nothing behind");
            }
        }
    }

    #[test]
    fn what_does_not_fail_replaces_the_whole_file() {
        for fails in [Fails::Never, Fails::Write(NEW.len()), Fails::Write(NEW.len() + 1)] {
            for gulp in [1, 7, usize::MAX] {
                let folder = TempDir::new().unwrap();
                let path = folder.path().join("file");
                fs::write(&path, "old").unwrap();
                // Of a process that was killed.
                fs::write(beside(&path, "tmp"), "half of something that is much longer than the new one")
                    .unwrap();
                replace(&Fake { fails, gulp, seen: Cell::default() }, &path, lines).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), NEW);
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            }
        }
    }

    /// A disk that looks at what a reader would find before each of its steps: what a kill at that moment would leave.
    struct Watched<'a>(&'a Path);

    struct WatchedFile<'a>(File, &'a Path);

    fn finds_the_old_one(path: &Path) {
        assert_eq!(fs::read_to_string(path).unwrap(), "old");
    }

    impl Write for WatchedFile<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            finds_the_old_one(self.1);
            self.0.write(&bytes[..1])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> Disk for Watched<'a> {
        type File = WatchedFile<'a>;

        fn create(&self, path: &Path) -> io::Result<WatchedFile<'a>> {
            finds_the_old_one(self.0);
            Ok(WatchedFile(Machine.create(path)?, self.0))
        }

        fn sync(&self, file: WatchedFile<'a>) -> io::Result<()> {
            finds_the_old_one(self.0);
            Machine.sync(file.0)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            finds_the_old_one(self.0);
            assert_eq!(fs::read_to_string(from)?, NEW, "only what is whole gets the name");
            Machine.rename(from, to)
        }
    }

    #[test]
    fn at_every_moment_there_is_the_old_or_the_whole_new_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let content = |out: &mut BufWriter<WatchedFile<'_>>| out.write_all(NEW.as_bytes());
        replace(&Watched(&path), &path, content).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), NEW);
    }
}
