//! What kind of file system a file is on: one that several machines share, or one that is only in memory.

use nix::sys::statfs::fstatfs;
use std::os::fd::AsFd;

/// The name of the network or cluster file system that `file` is on, if it is on one. FUSE counts
/// as local: it does not say what is behind it.
///
/// # Errors
/// Those of fstatfs(2).
pub(super) fn of_a_network(file: impl AsFd) -> nix::Result<Option<&'static str>> {
    Ok(network_name(magic(file)?))
}

/// The name of the file system in memory that `file` is on, if it is on one.
///
/// # Errors
/// Those of fstatfs(2).
pub(super) fn in_memory(file: impl AsFd) -> nix::Result<Option<&'static str>> {
    Ok(memory_name(magic(file)?))
}

/// The type of the number differs between systems; the numbers have 32 bits on all of them.
fn magic(file: impl AsFd) -> nix::Result<u32> {
    Ok(fstatfs(file)?.filesystem_type().0 as u32)
}

/// The numbers are those of linux/magic.h and of the file systems' own sources.
fn network_name(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0000_6969 => "NFS",
        0x0000_517B | 0xFE53_4D42 => "SMB",
        0xFF53_4D42 => "CIFS",
        0x0102_1997 => "9p",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x7375_7245 => "Coda",
        0x0000_564C => "NCP",
        0x4750_4653 => "GPFS",
        0x1983_0326 => "BeeGFS",
        0x2003_0528 => "OrangeFS",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        _ => return None,
    })
}

fn memory_name(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0102_1994 => "tmpfs",
        0x8584_58F6 => "ramfs",
        0x9584_58F6 => "hugetlbfs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_name_and_local_ones_pass() {
        let here = tempfile::tempdir().unwrap();
        assert_eq!(of_a_network(std::fs::File::open(here.path()).unwrap()), Ok(None));
        let (tmpfs, ext4, xfs, btrfs, fuse) = (0x0102_1994, 0xEF53, 0x5846_5342, 0x9123_683E, 0x6573_5546);
        for local in [tmpfs, ext4, xfs, btrfs, fuse] {
            assert_eq!(network_name(local), None);
        }
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xFF53_4D42), Some("CIFS"));
        assert_eq!([tmpfs, ext4, xfs, btrfs].map(memory_name), [Some("tmpfs"), None, None, None]);
    }
}
