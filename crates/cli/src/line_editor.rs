//! Reading a statement from a person at a terminal: editing over several lines, history, and finishing of names.
//!
//! Written here because the usual crate turns on a feature of `libc`, and with it builds everything anew.
//!
//! Keys go in and effects come out of [`editing`]; this file reads the bytes and paints.

mod buffer;
mod editing;
mod history;
mod keys;
mod picture;
mod raw_mode;

use std::io::{self, Read as _, Write as _};

use self::editing::{Editing, Effect};
pub(crate) use self::history::{History, default_file as history_file};
use self::picture::Picture;
use self::raw_mode::RawMode;

/// Bytes read at a time; a longer paste comes in several pieces.
const READ_BYTES: usize = 4096;
/// When the terminal does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A whole statement or command.
    Text(String),
    /// Ctrl-C: what was typed is thrown away.
    Interrupted,
    /// Ctrl-D on an empty line, or the terminal is gone.
    End,
}

/// What the editor must know of the language that is typed.
pub(crate) trait Language {
    /// Whether Enter ends the input rather than the line.
    fn is_whole(&self, text: &str) -> bool;
    /// What the word that ends here may become, in order; each begins as the word does, whatever its case.
    fn completions(&self, before: &str) -> Vec<String>;
}

/// The words before the lines that are typed; of one width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prompt {
    pub(crate) first: &'static str,
    pub(crate) next: &'static str,
}

/// A terminal's line editor. What was typed ahead is kept between reads.
#[derive(Debug)]
pub(crate) struct LineEditor {
    prompt: Prompt,
    history: History,
    ahead: Vec<u8>,
}

impl LineEditor {
    pub(crate) fn new(prompt: Prompt, history: History) -> Self {
        Self { prompt, history, ahead: Vec::new() }
    }

    /// Waits for one whole text. Blocks the thread.
    ///
    /// # Errors
    /// When the terminal cannot be read, written, or switched to single keys.
    pub(crate) fn read(&mut self, language: &dyn Language) -> io::Result<Typed> {
        let _raw = RawMode::enter()?;
        let mut editing = Editing::default();
        let mut shown = Shown::default();
        loop {
            while let Some((length, key)) = keys::decode(&self.ahead) {
                self.ahead.drain(..length);
                match editing.press(key, &self.history, language) {
                    Effect::Nothing => {}
                    Effect::Clear => shown.clear_screen()?,
                    Effect::Show(words) => shown.list(&words)?,
                    Effect::End(typed) => {
                        shown.paint(&editing.at_end().picture(self.prompt, columns()))?;
                        shown.leave(typed == Typed::Interrupted)?;
                        if let Typed::Text(text) = &typed {
                            self.history.add(text);
                        }
                        return Ok(typed);
                    }
                }
            }
            shown.paint(&editing.picture(self.prompt, columns()))?;
            if !self.read_more()? {
                shown.leave(false)?;
                return Ok(Typed::End);
            }
        }
    }

    /// False when there will be no more.
    fn read_more(&mut self) -> io::Result<bool> {
        let mut bytes = [0; READ_BYTES];
        loop {
            match io::stdin().lock().read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.ahead.extend_from_slice(&bytes[..length]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How many columns the terminal of standard output has.
pub(crate) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS_DEFAULT)
}

/// Where on the terminal the cursor was left.
#[derive(Debug, Default)]
struct Shown {
    /// Rows of the last picture above the cursor, and below it.
    above: usize,
    below: usize,
}

impl Shown {
    /// Replaces what was painted before.
    fn paint(&mut self, picture: &Picture) -> io::Result<()> {
        let mut out = String::new();
        up(&mut out, self.above);
        out.push_str("\r\x1b[J");
        out.push_str(&picture.rows.join("\r\n"));
        (self.above, self.below) = (picture.row, picture.rows.len() - 1 - picture.row);
        up(&mut out, self.below);
        out.push('\r');
        if picture.column > 0 {
            out.push_str(&format!("\x1b[{}C", picture.column));
        }
        write(&out)
    }

    fn clear_screen(&mut self) -> io::Result<()> {
        *self = Self::default();
        write("\x1b[H\x1b[2J")
    }

    /// Shows words below what was typed, which is then painted anew below them.
    fn list(&mut self, words: &[String]) -> io::Result<()> {
        self.leave(false)?;
        write(&format!("{}\r\n", words.join("  ")))
    }

    /// Goes to a fresh line below.
    fn leave(&mut self, interrupted: bool) -> io::Result<()> {
        let mut out = "\r\n".repeat(self.below);
        out.push_str(if interrupted { "^C\r\n" } else { "\r\n" });
        *self = Self::default();
        write(&out)
    }
}

fn up(out: &mut String, rows: usize) {
    if rows > 0 {
        out.push_str(&format!("\x1b[{rows}A"));
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
