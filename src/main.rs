//! `ipcq`: hands messages from one shell script to another.
//!
//! The C entry point instead of Rust's: the runtime's own would read /proc/self/maps and set up
//! signal stacks, a tenth of the time a one-shot put takes, and would hide which standard
//! streams were closed.
#![no_main]
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};

// SAFETY: the C runtime looks for a function of this name and signature, and there is no other.
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    c_int::from(ipcq::cli::main(std::env::args_os()))
}
