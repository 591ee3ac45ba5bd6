//! A directory of queues in memory, for the fuzz targets.

use ipcq::local::{
    CONTROL_FIELDS, Field, HOT_FIELDS, LOG_FIELDS, OWNER_FIELDS, RECORD_FIELDS, REDO_LOGS, STAMP_FIELDS,
};
use ipcq::address::Address;
use ipcq::place::{Place, Surroundings};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;
use twox_hash::XxHash3_64;

/// A directory of queues that is removed at the end.
pub struct Queues {
    directory: TempDir,
    place: Place,
}

impl Queues {
    /// A new one, in shared memory where there is some.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        remove_those_of_the_dead(memory);
        let prefix = format!("{PREFIX}{}.", std::process::id());
        let make = |parent: &Path| tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
        let directory = make(memory).or_else(|_| make(&std::env::temp_dir())).expect("a temporary directory");
        let place = Place::from(&Surroundings {
            ipcq_dir: Some(directory.path().join("queues").into()),
            access: Default::default(),
            tmpdir: None,
            uid: 0,
            shared_memory: PathBuf::from("/dev/shm"),
        });
        std::fs::create_dir(place.directory()).expect("a directory of queues");
        Queues { directory, place }
    }

    /// Where the queues are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The file of the queue called `name`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.place.directory().join(name)
    }

    /// A file that is no queue.
    pub fn other_file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The names of all files in the directory of queues, sorted.
    pub fn files(&self) -> Vec<String> {
        names(self.place.directory())
    }
}

/// How the names of our directories start; the number of the process follows.
const PREFIX: &str = "ipcq-fuzz.";

/// Removes the directories of fuzzers that have ended: they do so without clearing up.
fn remove_those_of_the_dead(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another fuzzer may be faster.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("the directory can be read");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The address of the queue called `name`.
pub fn address(name: &str) -> Address {
    Address::parse(OsStr::new(name)).expect("it is a name")
}

/// The tables of fields at fixed places: the stamp's first.
pub static FIXED: LazyLock<[Vec<Field>; 5]> = LazyLock::new(|| {
    let log = |place| LOG_FIELDS.iter().map(|field| Field { offset: place + field.offset, ..*field }).collect();
    let [first, second] = REDO_LOGS.map(log);
    [STAMP_FIELDS.to_vec(), HOT_FIELDS.to_vec(), CONTROL_FIELDS.to_vec(), first, second]
});
/// The fields of an owner's entry.
pub const OWNER: &[Field] = OWNER_FIELDS;
/// The fields of a frame's record.
pub const RECORD: &[Field] = RECORD_FIELDS;

/// Bytes of the stamp; see ipcq-segment(5), as for all these numbers.
pub const STAMP_BYTES: usize = 128;
/// Where the stamp's flags are, of which the first says that the segment is durable.
pub const STAMP_FLAGS: usize = 28;
/// Where the stamp's checksum of all before it is.
pub const STAMP_CHECKSUM: usize = 124;
/// Where the number of changes that are committed is.
pub const COMMIT: usize = 128;
/// Where the number of changes that are applied is.
pub const APPLIED: usize = 132;
/// Where in a redo log its number is.
pub const LOG_NUMBER: usize = 8;
/// Where in a redo log its checksum is.
pub const LOG_CHECKSUM: usize = 12;
/// Where the pairs of a redo log start in it.
pub const LOG_PAIRS: usize = 16;
/// Where the entries of owners start.
pub const OWNERS: usize = 8192;
/// Bytes in the entry of an owner.
pub const OWNER_BYTES: usize = 64;
/// Bytes in a unit.
pub const UNIT: usize = 256;
/// Units in a group.
pub const UNITS_PER_GROUP: usize = 64;
/// The first unit that is handed out.
pub const FIRST_UNIT: usize = 65;

/// The checksum of these bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    let shares = bytes.rchunks(4096).map(|block| XxHash3_64::oneshot(block) as u32);
    shares.zip((1_u32..).step_by(2)).map(|(share, weight)| share.wrapping_mul(weight)).fold(0, u32::wrapping_add)
}
