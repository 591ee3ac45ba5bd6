//! Opening, creating and removing a queue: its segment's file, and the stamp in it.

use super::file::SegmentFile;
use super::format::{self, Stamp};
use super::map::Map;
use super::memory::{Memory, ReadMemory};
use super::store::Store;
use super::taking::Idle;
use super::{LocalQueue, now};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::name::printable;
use crate::place::Place;
use crate::queue::Limits;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::FileExt;
use std::time::Instant;

impl LocalQueue {
    /// Opens the queue at `address`.
    ///
    /// # Errors
    /// See [`crate::open::open`].
    pub fn open(place: &Place, address: &Address) -> Result<Self> {
        let segment = SegmentFile::new(place, address);
        let file = segment.open()?;
        Self::on(segment, address, file)
    }

    /// Opens the queue at `address` to look at it. What a command has to do before it can use a queue, such as finishing
    /// what a killed process has begun, is done to a copy: neither the file changes nor is anybody woken.
    ///
    /// # Errors
    /// See [`crate::open::open_to_look`].
    pub fn open_to_look(place: &Place, address: &Address) -> Result<Self> {
        let segment = SegmentFile::new(place, address);
        let file = segment.open_to_read()?;
        Self::to_look_at(address.to_string(), segment, file)
    }

    pub(super) fn to_look_at(name: String, segment: SegmentFile, file: File) -> Result<Self> {
        let map = Map::private(file).map_err(|error| Error::io(format!("map queue '{name}'"), error))?;
        let mut queue = Self::with_map(name, segment, map)?;
        queue.only_looks = true;
        Ok(queue)
    }

    /// Creates the queue at `address`.
    ///
    /// # Errors
    /// See [`crate::open::create`].
    pub fn create(place: &Place, address: &Address, limits: &Limits) -> Result<Self> {
        let segment = SegmentFile::new(place, address);
        let stamp = Stamp {
            capacity: limits.capacity,
            max_items: limits.max_items.unwrap_or(format::NO_LIMIT),
            created: now(),
            uuid: uuid(),
            durable: limits.durable,
            auto_close: limits.auto_close,
            lease: limits.lease.map_or(0, |lease| u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX)),
            max_attempts: limits.max_attempts.unwrap_or(0),
        };
        let file = segment.create(limits.mode, limits.durable, |file| {
            file.set_len(format::GROUP)?;
            let mut memory = Map::new(file.try_clone()?)?;
            memory.grow(0, format::GROUP)?;
            Store::initialize(&mut memory, &stamp);
            Ok(())
        })?;
        Self::on(segment, address, file)
    }

    /// Removes the queue at `address`, even one that is damaged or of another version.
    ///
    /// # Errors
    /// See [`crate::open::remove`].
    pub fn remove(place: &Place, address: &Address) -> Result<()> {
        let segment = SegmentFile::new(place, address);
        let file = segment.open()?;
        let mut magic = [0; format::MAGIC.len()];
        if file.read_exact_at(&mut magic, 0).is_err() || magic != format::MAGIC {
            let reason = "it is not an ipcq segment, so it is left alone".into();
            return Err(Error::Unusable { path: printable(segment.path()), reason });
        }
        // Unlinked first: were we killed between the two, sleepers would find the file gone when
        // they look again, while a marked file that is still there would serve nobody.
        segment.unlink()?;
        if let Ok(mut queue) = Self::on(segment, address, file) {
            queue.file_checked = Some(now());
            // The queue is gone in any case; those who cannot be told will notice.
            let _ = queue
                .locked(Some(Instant::now()), |queue| queue.store.mark_removed().map_err(|fault| queue.fault(fault)));
        }
        Ok(())
    }

    fn on(segment: SegmentFile, address: &Address, file: File) -> Result<Self> {
        Self::named(address.to_string(), segment, file)
    }

    pub(super) fn named(name: String, segment: SegmentFile, file: File) -> Result<Self> {
        let map = Map::new(file).map_err(|error| Error::io(format!("map queue '{name}'"), error))?;
        Self::with_map(name, segment, map)
    }

    fn with_map(name: String, segment: SegmentFile, map: Map) -> Result<Self> {
        let stamp = stamp(&segment, &map)?;
        Ok(LocalQueue {
            name,
            segment,
            store: Store::new(map, stamp),
            owner: None,
            leases: Vec::new(),
            intake: Vec::new(),
            frames: Vec::new(),
            delivered: None,
            owners_checked: None,
            watched: format::DATA_WAKE,
            seen: 0,
            counted_for_data: None,
            counted_for_space: None,
            pid: std::process::id(),
            clock: 0,
            file_checked: None,
            idle: Idle::default(),
            produces: false,
            receiver: None,
            puts_before_delivery: 0,
            is_awaited: false,
            shown_waiting: None,
            prepared: Vec::new(),
            only_looks: false,
        })
    }
}

/// The stamp of the segment in `memory`.
pub(super) fn stamp(segment: &SegmentFile, memory: &impl ReadMemory) -> Result<Stamp> {
    let length = memory.length();
    let unusable = |reason: String| Error::Unusable { path: printable(segment.path()), reason };
    let mut stamp = [0; format::STAMP_BYTES];
    if length < stamp.len() as u64 {
        return Err(unusable("it is too short to be an ipcq segment".into()));
    }
    memory.read(0, &mut stamp);
    let stamp = Stamp::decode(&stamp).map_err(unusable)?;
    if length < format::GROUP {
        return Err(unusable(format!("it has {length} bytes: it has been truncated")));
    }
    Ok(stamp)
}

/// Sixteen bytes that no other queue has. Hashers are keyed with random numbers of the kernel's, which
/// std does not give away otherwise; unlike /proc, they are there in every chroot.
fn uuid() -> [u8; 16] {
    let random = || RandomState::new().hash_one(now()).to_ne_bytes();
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&random());
    uuid[8..].copy_from_slice(&random());
    uuid
}
