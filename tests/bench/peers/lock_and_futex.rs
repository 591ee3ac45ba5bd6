//! The least that a queue can do under a lock that is a file's, for consumers that sleep on a futex: a flag is set and
//! cleared. It is a yardstick: what ipcq takes longer is what it does for messages, and for those who are killed.
#![allow(unsafe_code)]

use super::{Channel, Pair};
use crate::tools::{Bench, Running, answering};
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

pub(crate) const PROMISE: &str = "no queue at all, but what the kernel's part costs: a flag in shared memory is set or \
     cleared under flock(2), and waited for with futex(2)";

/// A flag between processes.
struct Flag {
    /// Its lock, and where it is.
    file: File,
    shared: &'static Shared,
}

/// What is in the file.
#[repr(C)]
struct Shared {
    is_set: AtomicU32,
    /// Changes whenever the flag is set.
    wake: AtomicU32,
    sleepers: AtomicU32,
}

impl Flag {
    fn open(path: &Path) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(size_of::<Shared>() as u64).unwrap();
        let length = NonZeroUsize::new(size_of::<Shared>()).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a mapping of its own that stays until the process ends, of a file of that length, aligned to a page;
        // everyone reaches what is in it as atomics.
        let shared = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0).unwrap().cast().as_ref() };
        Flag { file, shared }
    }

    fn locked<T>(&self, operation: impl FnOnce(&Shared) -> T) -> T {
        // Whoever has it is done in a moment.
        while fs2::FileExt::try_lock_exclusive(&self.file).is_err() {
            std::hint::spin_loop();
        }
        let result = operation(self.shared);
        fs2::FileExt::unlock(&self.file).unwrap();
        result
    }

    fn set(&self) {
        self.locked(|shared| {
            shared.wake.fetch_add(1, SeqCst);
            if shared.sleepers.swap(0, SeqCst) > 0 {
                // SAFETY: FUTEX_WAKE only uses the address.
                unsafe { libc::syscall(libc::SYS_futex, shared.wake.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
            }
            shared.is_set.store(1, SeqCst);
        });
    }

    fn clear(&self) {
        loop {
            let unset = self.locked(|shared| {
                let is_set = shared.is_set.swap(0, SeqCst) == 1;
                (!is_set).then(|| {
                    shared.sleepers.store(1, SeqCst);
                    shared.wake.load(SeqCst)
                })
            });
            let Some(seen) = unset else { return };
            let (word, for_ever) = (self.shared.wake.as_ptr(), std::ptr::null::<libc::timespec>());
            // SAFETY: the word stays; whatever the outcome, the flag is looked at again.
            unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, seen, for_ever) };
        }
    }
}

/// The ends of a process: a flag to wait for, and one to set.
pub(crate) struct Ends {
    from: Flag,
    to: Flag,
}

impl Ends {
    pub(crate) fn open(from: &Path, to: &Path) -> Self {
        Ends { from: Flag::open(from), to: Flag::open(to) }
    }
}

impl Channel for Ends {
    fn send(&mut self) {
        self.to.set();
    }

    fn receive(&mut self) {
        self.from.clear();
    }
}

/// A process that answers between two flags.
pub(crate) fn start(bench: &Bench) -> Pair {
    let [there, back] = ["flag there", "flag back"].map(|name| bench.path(name));
    let echo = Running::start(answering().arg("lock-and-futex").args([&there, &back]));
    (Box::new(Ends::open(&back, &there)), vec![echo])
}
