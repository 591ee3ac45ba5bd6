//! A segment's file in memory: the [`Memory`] that real queues use.
//!
//! One of the rooms where `unsafe` is allowed. Nothing here ever makes a `&[u8]` or `&mut` into
//! the mapping, because other processes write to it: words are reached as atomics, everything else
//! is copied through raw pointers, and every access is checked against the length that the file has.
#![allow(unsafe_code)]

#[cfg(any(test, target_arch = "x86_64"))]
use super::checksum::BLOCK;
use super::format::{GROUP, LARGEST_SEGMENT};
#[cfg(any(test, target_arch = "x86_64"))]
use super::memory::Seen;
#[cfg(target_arch = "x86_64")]
use super::memory::{CACHE_LINE, Piece};
use super::memory::{Memory, Pair, ReadMemory};
#[cfg(target_arch = "x86_64")]
use super::one_pass::{self, Part};
use crate::wait;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::mman::{MRemapFlags, MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mremap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Address space taken beyond the file's present length, in bytes, so that growth seldom means
/// mapping anew. It costs nothing: pages are mapped when they are touched.
const ADVANCE: u64 = 64 << 20;

/// A mapping of a segment's file.
pub(crate) struct Map {
    base: NonNull<u8>,
    /// Bytes of address space.
    mapped: u64,
    /// Bytes that may be touched: what the file was seen to have, at most `mapped`.
    length: u64,
    file: File,
    stores: Stores,
    wakes: Wakes,
}

/// When somebody is woken.
#[derive(Debug, Default)]
enum Wakes {
    #[default]
    AtOnce,
    /// Later: those who sleep on these words, and so many of them.
    PutOff(Vec<(u64, u32)>),
}

/// Where what is stored goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stores {
    /// Into the file, for all to see.
    Shared,
    /// Into copies of its pages that are ours alone; there are some.
    Private { any: bool },
}

// SAFETY: the mapping belongs to the Map alone, and its methods that store take `&mut self`.
unsafe impl Send for Map {}

impl Map {
    /// Maps `file`, with room to grow.
    ///
    /// # Errors
    /// Those of fstat(2) and mmap(2).
    pub(crate) fn new(file: File) -> io::Result<Map> {
        let length = file.metadata()?.len().min(LARGEST_SEGMENT);
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let (base, mapped) = generously(length, |bytes| map(&file, bytes, access, MapFlags::MAP_SHARED))?;
        Ok(Map { base, mapped, length, file, stores: Stores::Shared, wakes: Wakes::AtOnce })
    }

    /// Maps `file`, which need not be writable, so that what is stored changes nothing in it, nor wakes anybody.
    ///
    /// # Errors
    /// Those of fstat(2) and mmap(2).
    pub(crate) fn private(file: File) -> io::Result<Map> {
        let length = file.metadata()?.len().min(LARGEST_SEGMENT);
        let mapped = length.max(GROUP);
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // Few pages are stored to, if any.
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        Ok(Map {
            base: map(&file, mapped, access, flags)?,
            mapped,
            length,
            file,
            stores: Stores::Private { any: false },
            wakes: Wakes::AtOnce,
        })
    }

    /// Maps `file`, which need not be writable, to be looked at.
    ///
    /// # Errors
    /// Those of fstat(2) and mmap(2).
    pub(crate) fn to_read(file: &File) -> io::Result<impl ReadMemory + use<>> {
        let length = file.metadata()?.len().min(LARGEST_SEGMENT);
        let mapped = length.max(GROUP);
        let base = map(file, mapped, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
        Ok(Map { base, mapped, length, file: file.try_clone()?, stores: Stores::Shared, wakes: Wakes::AtOnce })
    }

    /// Has the processor fetch the bytes from `from` on, which are about to be changed, while the caller does something
    /// else.
    #[inline]
    pub(crate) fn fetch_ahead<const BYTES: usize>(&self, from: u64) {
        #[cfg(target_arch = "x86_64")]
        for offset in (0..BYTES).step_by(CACHE_LINE as usize) {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            let place = self.base.as_ptr().wrapping_add(from as usize + offset);
            // SAFETY: a hint, which accesses nothing and may name any address.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(place.cast()) }
        }
    }

    /// The mapped file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The word at `offset`, which other processes change at any time.
    pub(crate) fn atomic32(&self, offset: u64) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(4) || !self.contains(offset, 4) {
            return None;
        }
        // SAFETY: aligned (the base is page-aligned), inside the mapping and the file, and all
        // other accesses to it are atomic too. The mapping outlives the borrow of `self`.
        Some(unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(offset as usize).cast()) })
    }

    fn atomic64(&self, offset: u64) -> Option<&AtomicU64> {
        if !offset.is_multiple_of(8) || !self.contains(offset, 8) {
            return None;
        }
        // SAFETY: as in `atomic32`.
        Some(unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset as usize).cast()) })
    }

    fn contains(&self, offset: u64, bytes: u64) -> bool {
        offset.checked_add(bytes).is_some_and(|end| end <= self.length)
    }

    /// Whether a block that lies in these pieces can be copied in one pass, from here or to here.
    #[cfg(target_arch = "x86_64")]
    fn passes_at_once(&self, pieces: &[Piece]) -> bool {
        let are_lines = |&(offset, length): &Piece| length.is_multiple_of(CACHE_LINE) && self.contains(offset, length);
        pieces.iter().all(are_lines)
            && pieces.iter().map(|(_, length)| length).sum::<u64>() == BLOCK as u64
            && one_pass::is_possible()
    }

    /// Maps as much as the file has now, which must be up to `end`.
    #[cold]
    fn reach_further(&mut self, end: Option<u64>) -> io::Result<()> {
        let length = self.file.metadata()?.len().min(LARGEST_SEGMENT);
        if end.is_some_and(|end| length < end) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length > self.mapped {
            let (base, mapped) = (self.base.cast::<c_void>(), self.mapped as usize);
            (self.base, self.mapped) = generously(length, |bytes| {
                let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
                // SAFETY: this is our own mapping, whole, and `&mut self` says that no reference into it is alive.
                // If it moves, its old address is forgotten at once.
                Ok(unsafe { mremap(base, mapped, bytes, MRemapFlags::MREMAP_MAYMOVE, None) }?.cast())
            })?;
        }
        self.length = length;
        Ok(())
    }

    /// From now on nobody is woken until [`Map::wake_those_put_off`] is called.
    pub(crate) fn put_off_wakes(&mut self) {
        self.wakes = Wakes::PutOff(Vec::new());
    }

    /// Whether those who are woken are woken at once.
    pub(crate) fn wakes_at_once(&self) -> bool {
        matches!(self.wakes, Wakes::AtOnce)
    }

    /// Wakes all who would have been woken since.
    pub(crate) fn wake_those_put_off(&mut self) {
        if let Wakes::PutOff(wakes) = std::mem::take(&mut self.wakes) {
            for (offset, count) in wakes {
                self.wake(offset, count);
            }
        }
    }

    fn note_store(&mut self) {
        if let Stores::Private { any } = &mut self.stores {
            *any = true;
        }
    }

    fn is_private(&self) -> bool {
        self.stores != Stores::Shared
    }
}

/// Maps `length` bytes with room to grow, or, where there is little address space (ulimit -v), without.
fn generously(length: u64, map: impl Fn(u64) -> io::Result<NonNull<u8>>) -> io::Result<(NonNull<u8>, u64)> {
    let (generous, least) = ((length + ADVANCE).next_multiple_of(GROUP), length.max(GROUP));
    match map(generous) {
        Ok(base) => Ok((base, generous)),
        Err(_) => Ok((map(least)?, least)),
    }
}

fn map(file: &File, bytes: u64, access: ProtFlags, flags: MapFlags) -> io::Result<NonNull<u8>> {
    let length = usize::try_from(bytes).ok().and_then(NonZeroUsize::new).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
    let base = unsafe { mmap(None, length, access, flags, file, 0) };
    Ok(base?.cast())
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: base and mapped are those of our own mapping, and no reference into it is alive, for
        // all borrow `self`. A failure would only leak address space.
        let _ = unsafe { munmap(self.base.cast::<c_void>(), self.mapped as usize) };
    }
}

impl ReadMemory for Map {
    fn length(&self) -> u64 {
        self.length
    }

    fn load32(&self, offset: u64) -> u32 {
        self.atomic32(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn load(&self, offset: u64) -> u64 {
        self.atomic64(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn load_each<const N: usize>(&self, start: u64, distances: [u64; N]) -> [u64; N] {
        let reach = distances.into_iter().fold(0, u64::max) + 8;
        let aligned = distances.into_iter().fold(start, |any, distance| any | distance).is_multiple_of(8);
        if !aligned || !self.contains(start, reach) {
            return [0; N];
        }
        let start = self.base.as_ptr().wrapping_add(start as usize);
        // SAFETY: as in `atomic64`, for all of them.
        distances
            .map(|distance| unsafe { AtomicU64::from_ptr(start.add(distance as usize).cast()).load(Ordering::Acquire) })
    }

    fn read(&self, offset: u64, into: &mut [u8]) {
        if !self.contains(offset, into.len() as u64) {
            into.fill(0);
            return;
        }
        // SAFETY: the source is inside the mapping and the file; the target is private memory of
        // that length. Others may store meanwhile only if they break the protocol; then the copy
        // holds a mixture, which the checks that follow every read refuse.
        unsafe { self.base.as_ptr().add(offset as usize).copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) }
    }

    fn append(&self, offset: u64, length: u64, buffer: &mut Vec<u8>) {
        if !self.contains(offset, length) {
            return;
        }
        let length = length as usize;
        buffer.reserve(length);
        // SAFETY: as in `read`; the target is the reserved tail of the vector, all of which is
        // initialized by the copy before the new length says so.
        unsafe {
            let target = buffer.as_mut_ptr().add(buffer.len());
            self.base.as_ptr().add(offset as usize).copy_to_nonoverlapping(target, length);
            buffer.set_len(buffer.len() + length);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn append_in_one_pass(&self, pieces: &[Piece], delimiter: Option<u8>, buffer: &mut Vec<u8>) -> Option<Seen> {
        if !self.passes_at_once(pieces) {
            return None;
        }
        buffer.reserve(BLOCK);
        let mut to = buffer.as_mut_ptr().wrapping_add(buffer.len());
        let parts = pieces.iter().map(|&(offset, length)| {
            let part = Part { from: self.base.as_ptr().wrapping_add(offset as usize), to, bytes: length as usize };
            to = to.wrapping_add(part.bytes);
            part
        });
        // SAFETY: as in `append`, for all of the block.
        unsafe {
            let seen = one_pass::copy(parts, delimiter);
            buffer.set_len(buffer.len() + BLOCK);
            Some(seen)
        }
    }
}

impl Memory for Map {
    fn store32(&mut self, offset: u64, value: u32) {
        self.note_store();
        if let Some(word) = self.atomic32(offset) {
            word.store(value, Ordering::Release);
        }
    }

    fn exchange32(&mut self, offset: u64, from: u32, to: u32) -> bool {
        self.note_store();
        let word = self.atomic32(offset);
        word.is_some_and(|word| word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok())
    }

    fn store(&mut self, offset: u64, value: u64) {
        self.note_store();
        if let Some(word) = self.atomic64(offset) {
            word.store(value, Ordering::Release);
        }
    }

    fn write_pairs(&mut self, offset: u64, pairs: &[Pair]) {
        // SAFETY: all of the pairs, as their bytes: they are numbers without anything between them, and stay borrowed.
        self.write(offset, unsafe { std::slice::from_raw_parts(pairs.as_ptr().cast(), size_of_val(pairs)) });
    }

    fn apply(&mut self, words: &[Pair]) {
        self.note_store();
        // Read once: for all that the compiler knows, each store may change them.
        let (base, Some(last)) = (self.base.as_ptr(), self.length.checked_sub(8)) else { return };
        for &[offset, value] in words {
            // A multiple of 8, and small enough: what is no multiple is a large number then.
            if offset.rotate_right(3) <= last / 8 {
                // SAFETY: as in `atomic64`.
                unsafe { AtomicU64::from_ptr(base.add(offset as usize).cast()) }.store(value, Ordering::Release);
            }
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.note_store();
        if !self.contains(offset, bytes.len() as u64) {
            return;
        }
        // SAFETY: the target is inside the mapping and the file; the source is private memory, so
        // the two do not overlap. The fence keeps these stores before the ones that publish them.
        unsafe { self.base.as_ptr().add(offset as usize).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
        std::sync::atomic::fence(Ordering::Release);
    }

    #[cfg(target_arch = "x86_64")]
    fn write_in_one_pass(&mut self, pieces: &[Piece], delimiter: Option<u8>, block: &[u8]) -> Option<Seen> {
        let starts_lines = pieces.iter().all(|(offset, _)| offset.is_multiple_of(CACHE_LINE));
        if block.len() != BLOCK || !starts_lines || !self.passes_at_once(pieces) {
            return None;
        }
        self.note_store();
        let mut from = block.as_ptr();
        let parts = pieces.iter().map(|&(offset, length)| {
            let part = Part { from, to: self.base.as_ptr().wrapping_add(offset as usize), bytes: length as usize };
            from = from.wrapping_add(part.bytes);
            part
        });
        // SAFETY: as in `write`, for all of the block; and the mapping starts a line, as every page does.
        Some(unsafe { one_pass::copy_past_caches(parts, delimiter) })
    }

    #[cfg(target_arch = "x86_64")]
    fn order_blocks(&mut self) {
        one_pass::order();
    }

    fn wake(&mut self, offset: u64, count: u32) -> u32 {
        if self.is_private() {
            return 0;
        }
        if let Wakes::PutOff(wakes) = &mut self.wakes {
            wakes.push((offset, count));
            // Whoever sleeps there is as good as awake.
            return count;
        }
        self.atomic32(offset).map_or(0, |word| wait::wake(word, count))
    }

    fn look_anew(&mut self) {
        if self.stores == (Stores::Private { any: true }) {
            let (base, mapped) = (self.base.cast::<c_void>(), self.mapped as usize);
            // SAFETY: this is our own mapping, whole, and `&mut self` says that no reference into it is alive. The copies
            // of pages go, and the file's own are seen again.
            if unsafe { madvise(base, mapped, MmapAdvise::MADV_DONTNEED) }.is_ok() {
                self.stores = Stores::Private { any: false };
            }
        }
    }

    #[inline]
    fn reach(&mut self, end: Option<u64>) -> io::Result<()> {
        // As nearly always.
        if end.is_some_and(|end| end <= self.length) { Ok(()) } else { self.reach_further(end) }
    }

    fn grow(&mut self, from: u64, to: u64) -> io::Result<()> {
        if self.is_private() {
            // Nothing that is done to look at a segment takes new space.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let offset = |value: u64| i64::try_from(value).map_err(|_| io::ErrorKind::InvalidInput);
        // Reserved now, a full file system is an error here instead of a SIGBUS at the first store.
        let reserved = loop {
            match fallocate(&self.file, FallocateFlags::empty(), offset(from)?, offset(to - from)?) {
                Err(nix::errno::Errno::EINTR) => {}
                other => break other,
            }
        };
        match reserved {
            Ok(()) => {}
            // A file system without fallocate(2): writing zeros reserves as well.
            Err(nix::errno::Errno::EOPNOTSUPP) => {
                use std::os::unix::fs::FileExt;
                let zeros = [0; 4096];
                let mut at = from;
                while at < to {
                    let length = (to - at).min(4096) as usize;
                    self.file.write_all_at(&zeros[..length], at)?;
                    at += length as u64;
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.reach(Some(to))
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_private() {
            return Ok(());
        }
        // What was stored through the mapping is the file's, and is written with it.
        self.file.sync_data()
    }

    fn release(&mut self, from: u64, _to: u64) {
        if self.is_private() {
            return;
        }
        // Nobody touches what is beyond the grown part, so the file may as well end there. That
        // it cannot be shortened is no failure: the space is used again when the queue grows.
        if self.file.set_len(from).is_ok() {
            self.length = self.length.min(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that are nowhere the same, so many of them, every seventh of which is a newline.
    fn bytes(length: u64) -> Vec<u8> {
        let byte = |at: u64| if at.is_multiple_of(7) { b'\n' } else { at as u8 | 128 };
        (0..length).map(|at| byte(at + at / 256)).collect()
    }

    #[test]
    fn a_block_arrives_and_is_seen_as_it_is_whatever_pieces_it_lies_in() {
        const LENGTH: u64 = BLOCK as u64;
        let file = tempfile::tempfile().unwrap();
        file.set_len(GROUP).unwrap();
        let mut map = Map::new(file).unwrap();
        for pieces in [
            &[(256, LENGTH)][..],
            &[(GROUP - LENGTH, LENGTH)],
            &[(8000, 64), (64, LENGTH - 64)],
            &[(8000, 63), (64, LENGTH - 63)],
            &[(257, LENGTH)],
            &[(64, 100)],
            &[(512, 256), (0, 256), (1024, LENGTH - 512)],
            &[(64, LENGTH + 64)],
            &[],
        ] {
            let block = bytes(pieces.iter().map(|(_, length)| length).sum());
            for delimiter in [None, Some(b'\n')] {
                map.write(0, &[0; GROUP as usize]);
                let expected = Seen::of(&block, delimiter);
                assert_eq!(map.write_block(pieces, delimiter, &block), expected, "{pieces:?}");
                let mut buffer = b"before".to_vec();
                assert_eq!(map.append_block(pieces, delimiter, &mut buffer), expected, "{pieces:?}");
                assert!(buffer == [b"before", &block[..]].concat(), "{pieces:?}");
                let mut all = bytes(GROUP);
                map.read(0, &mut all);
                assert_eq!(all.iter().filter(|byte| **byte != 0).count(), block.len(), "{pieces:?}");
            }
        }
    }

    #[test]
    fn nothing_is_written_or_read_where_the_file_ends() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(GROUP).unwrap();
        let mut map = Map::new(file).unwrap();
        let pieces = [(GROUP - 64, BLOCK as u64)];
        map.write_block(&pieces, None, &[1; BLOCK]);
        let mut end = [0; 64];
        map.read(GROUP - 64, &mut end);
        assert_eq!(end, [0; 64]);
        let mut buffer = Vec::new();
        map.append_block(&pieces, None, &mut buffer);
        assert_eq!(buffer, b"");
    }
}
