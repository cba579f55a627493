//! What lies below a file: the kind of its file system, and how much room there is.

use std::path::Path;

use rustix::fs::statfs;

use crate::facts::{Disk, FileSystem, Seen};

/// The file system of a file.
pub(super) fn of(path: &Path) -> Seen<Disk> {
    let found = statfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let block = u64::try_from(found.f_bsize).unwrap_or(0);
    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::unnecessary_cast,
        reason = "a magic number"
    )]
    let kind = kind(u64::from(found.f_type as u32));
    Ok(Disk {
        kind,
        free_bytes: block.saturating_mul(found.f_bavail),
        total_bytes: block.saturating_mul(found.f_blocks),
    })
}

/// By the numbers of linux/magic.h.
const fn kind(magic: u64) -> FileSystem {
    match magic {
        0xEF53 => FileSystem::Disk("ext"),
        0x5846_5342 => FileSystem::Disk("xfs"),
        0x9123_683E => FileSystem::Disk("btrfs"),
        0x2FC1_2FC1 => FileSystem::Disk("zfs"),
        0xF2F5_2010 => FileSystem::Disk("f2fs"),
        0x0102_1994 => FileSystem::Memory("tmpfs"),
        0x8584_58F6 => FileSystem::Memory("ramfs"),
        0x6969 => FileSystem::Network("nfs"),
        0xFF53_4D42 => FileSystem::Network("cifs"),
        0xFE53_4D42 => FileSystem::Network("smb"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x00C3_6400 => FileSystem::Network("ceph"),
        0x6573_5546 => FileSystem::Network("fuse"),
        0x794C_7630 => FileSystem::Layer,
        other => FileSystem::Unknown(other),
    }
}

#[test]
fn a_file_system_is_known_by_its_number() {
    assert_eq!(kind(0x0102_1994), FileSystem::Memory("tmpfs"));
    assert_eq!(kind(7), FileSystem::Unknown(7));
    let here = of(Path::new("/")).unwrap();
    assert!(here.total_bytes > here.free_bytes);
}
