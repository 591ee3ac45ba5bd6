//! What a job has written and nobody has seen yet: in memory, and in a file once it is much.

use crate::error::Result;
use crate::reserve::reserve;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that are kept in memory.
const IN_MEMORY: usize = 1 << 20;
/// Bytes that are read back at once.
const CHUNK: usize = 64 << 10;

/// Bytes in the order in which they came.
#[derive(Default)]
pub(super) struct Collected {
    /// The first of them: a file that has no name any more, and its length.
    file: Option<(File, u64)>,
    /// The rest.
    memory: Vec<u8>,
}

impl Collected {
    /// Adds bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        reserve(&mut self.memory, bytes.len() as u64)?;
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > IN_MEMORY {
            self.spill();
        }
        Ok(())
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.file.is_none() && self.memory.is_empty()
    }

    /// Hands all bytes to `write`, piece by piece, until that returns false, and forgets them.
    pub(super) fn drain(&mut self, mut write: impl FnMut(&[u8]) -> bool) -> bool {
        let memory = std::mem::take(&mut self.memory);
        let from_file = match self.file.take() {
            None => true,
            Some((mut file, length)) => {
                let mut chunk = vec![0; CHUNK];
                let mut left = length;
                let mut go_on = file.seek(SeekFrom::Start(0)).is_ok();
                while go_on && left > 0 {
                    let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                    match file.read(&mut chunk[..most]) {
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        Ok(0) | Err(_) => go_on = false,
                        Ok(read) => {
                            left -= read as u64;
                            go_on = write(&chunk[..read]);
                        }
                    }
                }
                go_on
            }
        };
        from_file && (memory.is_empty() || write(&memory))
    }

    /// Moves what is in memory to a file. Where that fails it stays in memory.
    fn spill(&mut self) {
        if self.file.is_none() {
            self.file = temporary_file().ok().map(|file| (file, 0));
        }
        let Some((file, length)) = &mut self.file else { return };
        if file.seek(SeekFrom::Start(*length)).and_then(|_| file.write_all(&self.memory)).is_ok() {
            *length += self.memory.len() as u64;
            self.memory.clear();
        }
    }
}

/// A file without a name, which nobody else sees and which is gone with us.
fn temporary_file() -> nix::Result<File> {
    let directory = std::env::var_os("TMPDIR").filter(|path| !path.is_empty()).unwrap_or_else(|| "/tmp".into());
    let (file, path) = nix::unistd::mkstemp(&Path::new(&directory).join("ipcq-work-XXXXXX"))?;
    nix::unistd::unlink(&path)?;
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    Ok(file.into())
}

/// The last line that has something in it, of as much as is kept.
#[derive(Default)]
pub(super) struct LastLine {
    line: Vec<u8>,
    /// The one that has not ended yet.
    current: Vec<u8>,
}

impl LastLine {
    const MOST: usize = crate::lease::Reason::MOST_TEXT;

    /// Looks at what comes next.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let Some(end) = memchr::memrchr(b'\n', bytes) else {
            self.extend_current(bytes);
            return;
        };
        let (lines, rest) = (&bytes[..end], &bytes[end + 1..]);
        let start = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
        self.extend_current(&lines[..start]);
        let later = lines[start..].rsplit(|byte| *byte == b'\n').find(|line| !is_blank(line));
        if let Some(line) = later {
            self.line = line[..line.len().min(Self::MOST)].to_vec();
        } else if !is_blank(&self.current) {
            std::mem::swap(&mut self.line, &mut self.current);
        }
        self.current.clear();
        self.extend_current(rest);
    }

    /// The line, without white space around it.
    pub(super) fn text(&self) -> Vec<u8> {
        let line = if is_blank(&self.current) { &self.line } else { &self.current };
        line.trim_ascii().to_vec()
    }

    fn extend_current(&mut self, bytes: &[u8]) {
        let room = Self::MOST.saturating_sub(self.current.len());
        self.current.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_much_goes_through_a_file_and_comes_back_the_same() {
        let mut collected = Collected::default();
        let mut expected = Vec::new();
        for number in 0..3_000_u32 {
            let piece = number.to_string().repeat(300);
            collected.append(piece.as_bytes()).unwrap();
            expected.extend_from_slice(piece.as_bytes());
        }
        assert!(collected.memory.len() <= IN_MEMORY && collected.file.is_some());
        let mut bytes = Vec::new();
        assert!(collected.drain(|piece| {
            bytes.extend_from_slice(piece);
            true
        }));
        assert!(bytes == expected);
        assert!(collected.is_empty());
    }

    #[test]
    fn the_last_line_is_found_however_the_text_is_cut() {
        let long = "x".repeat(300);
        let cases = [
            ("", ""),
            ("one", "one"),
            ("one\n", "one"),
            ("one\ntwo", "two"),
            ("one\n two \n\n \n", "two"),
            ("\n\n", ""),
            (&long, &long[..256]),
        ];
        for (text, expected) in cases {
            for size in 1..=text.len().max(1) {
                let mut last = LastLine::default();
                text.as_bytes().chunks(size).for_each(|chunk| last.append(chunk));
                assert_eq!(String::from_utf8(last.text()).unwrap(), expected, "{text:?} in pieces of {size}");
            }
        }
    }
}
