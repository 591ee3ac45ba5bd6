//! Messages as bytes to write, in the form that was asked for, with the ends of the messages.

use super::{json, shell};
use crate::delimiter;
use crate::error::Result;
use crate::lease::LeaseId;
use crate::message::Framing;
use crate::queue::{Frame, Queue};
use crate::reserve::reserve;
use std::ffi::OsStr;

/// The form in which messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it was put: a line as a line, a whole input byte for byte.
    AsPut,
    /// Followed by a NUL.
    Nul,
    /// Just its bytes.
    Raw,
    /// A JSON object a line.
    Json,
    /// Assignments for a shell.
    Shell,
}

impl Form {
    /// Whether a message is shown as its bytes.
    fn is_plain(self) -> bool {
        matches!(self, Form::AsPut | Form::Nul | Form::Raw)
    }

    /// The byte after each message of a frame with this framing, if this form only adds one.
    fn delimiter(self, framing: Framing) -> Option<u8> {
        match self {
            Form::AsPut if framing == Framing::Whole => None,
            Form::AsPut => Some(b'\n'),
            Form::Nul => Some(0),
            Form::Raw | Form::Json | Form::Shell => None,
        }
    }
}

/// Messages that end at known places in a buffer.
struct Piece {
    end: usize,
    count: u64,
    /// Ends each of them, where there are several.
    delimiter: Option<u8>,
}

/// What the messages are called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'a> {
    /// By their ids: they are taken.
    Messages,
    /// By the ids of their leases from that queue, which are to be kept.
    LeasesFrom(&'a OsStr),
}

/// A batch of messages, ready to be written.
pub(super) struct Rendered {
    form: Form,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    payload: Vec<u8>,
}

impl Rendered {
    /// Nothing yet.
    pub(super) fn new(form: Form) -> Self {
        Rendered { form, bytes: Vec::new(), pieces: Vec::new(), payload: Vec::new() }
    }

    /// Renders all that is leased from `queue`, instead of what was here before.
    pub(super) fn render(&mut self, queue: &mut dyn Queue, names: Names<'_>) -> Result<()> {
        self.bytes.clear();
        self.pieces.clear();
        for index in 0..queue.frames().len() {
            let frame = queue.frames()[index];
            let delimiter = self.form.delimiter(frame.framing);
            if !matches!(self.form, Form::Json | Form::Shell) && delimiter == frame.framing.delimiter() {
                // The way it is stored is the way it is written.
                queue.read(index, &mut self.bytes)?;
                self.pieces.push(Piece { end: self.bytes.len(), count: frame.count, delimiter });
            } else if frame.framing == Framing::Whole && self.form.is_plain() {
                queue.read(index, &mut self.bytes)?;
                self.bytes.extend(delimiter);
                self.pieces.push(Piece { end: self.bytes.len(), count: 1, delimiter: None });
            } else {
                self.payload.clear();
                queue.read(index, &mut self.payload)?;
                self.render_each(&frame, names)?;
            }
        }
        Ok(())
    }

    fn render_each(&mut self, frame: &Frame, names: Names<'_>) -> Result<()> {
        // The id of a first lease is that of the message.
        let (number, queue) = match names {
            Names::Messages => (1, None),
            Names::LeasesFrom(queue) => (frame.handed_out, Some(queue)),
        };
        reserve(&mut self.bytes, self.payload.len() as u64 + frame.count)?;
        // The ids come second: after the last there may be none.
        for (message, id) in frame.run(&self.payload).messages().zip(frame.first_id..) {
            let id = LeaseId { message: id, attempt: number };
            match self.form {
                Form::Json => json::message(id, queue, frame.attempt, message, frame.json, &mut self.bytes)?,
                Form::Shell => shell::assignments(id, queue, frame.attempt, message, &mut self.bytes)?,
                Form::AsPut | Form::Nul | Form::Raw => {
                    self.bytes.extend_from_slice(message);
                    self.bytes.extend(self.form.delimiter(frame.framing));
                }
            }
            self.pieces.push(Piece { end: self.bytes.len(), count: 1, delimiter: None });
        }
        Ok(())
    }

    /// What is to be written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of messages.
    pub(super) fn count(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.count).sum()
    }

    /// How many messages, and how many bytes of them, are in the first `written` bytes in full.
    pub(super) fn complete(&self, written: usize) -> (u64, usize) {
        let (mut messages, mut end) = (0, 0);
        for piece in &self.pieces {
            if piece.end <= written {
                messages += piece.count;
                end = piece.end;
                continue;
            }
            if let Some(delimiter) = piece.delimiter {
                let part = &self.bytes[end..written];
                messages += delimiter::count(part, delimiter);
                end += delimiter::last(part, delimiter).map_or(0, |last| last + 1);
            }
            break;
        }
        (messages, end)
    }
}
