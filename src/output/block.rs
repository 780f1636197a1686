//! The block of live lines at the bottom of a terminal, and the way of all other text past it.

use std::io::{Result, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anstream::{AutoStream, ColorChoice};
use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, TermLike};

/// Redraws in a second, at most.
const REDRAWS: u8 = 20;

static BLOCK: LazyLock<MultiProgress> = LazyLock::new(|| {
    if cfg!(windows) {
        return MultiProgress::new();
    }
    let terminal = Box::new(BlockTerminal {
        term: Term::buffered_stderr(),
        is_filled: AtomicBool::new(false),
    });
    MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, REDRAWS))
});
static LINES: AtomicUsize = AtomicUsize::new(0);

/// Writes lines to stderr, above the live lines.
pub(super) fn beside(text: &str) {
    // An error of stderr cannot be reported anywhere.
    if LINES.load(Ordering::Relaxed) == 0 {
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    } else if AutoStream::choice(&std::io::stderr()) == ColorChoice::Never {
        let _ = BLOCK.println(anstream::adapter::strip_str(text).to_string());
    } else {
        let _ = BLOCK.println(text);
    }
}

/// Ends the line with the `^C` that a terminal shows at Ctrl-C. Live lines leave room for it.
pub(super) fn end_line() {
    if LINES.load(Ordering::Relaxed) == 0 {
        let _ = writeln!(std::io::stderr().lock());
    }
}

/// Shows a live line; `above`: above the others.
pub(super) fn show(bar: ProgressBar, above: bool) -> ProgressBar {
    LINES.fetch_add(1, Ordering::Relaxed);
    if above { BLOCK.insert(0, bar) } else { BLOCK.add(bar) }
}

/// Removes a live line.
pub(super) fn remove(bar: &ProgressBar) {
    bar.finish_and_clear();
    BLOCK.remove(bar);
    LINES.fetch_sub(1, Ordering::Relaxed);
}

/// Clears the live lines, which come back with their next redraw: something else is about to write to the terminal.
pub(super) fn clear() {
    if LINES.load(Ordering::Relaxed) > 0 {
        let _ = BLOCK.clear();
    }
}

/// The terminal below the block. indicatif fills each line with spaces, which leaves the cursor at the edge of the terminal:
/// the `^C` that a terminal shows at Ctrl-C is in the next row then, and the lines above it are not found any more. Here the
/// rest of a line is erased, and the next line begins with a newline.
#[derive(Debug)]
struct BlockTerminal {
    term: Term,
    /// Whether what was written last is the end of a line.
    is_filled: AtomicBool,
}

impl BlockTerminal {
    fn moved(&self) -> &Term {
        self.is_filled.store(false, Ordering::Relaxed);
        &self.term
    }
}

impl TermLike for BlockTerminal {
    fn width(&self) -> u16 {
        self.term.size().1
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> Result<()> {
        self.moved().move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> Result<()> {
        self.moved().move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> Result<()> {
        self.moved().move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> Result<()> {
        self.moved().move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> Result<()> {
        self.moved().write_line(text)
    }

    fn write_str(&self, text: &str) -> Result<()> {
        if !text.is_empty() && text.bytes().all(|byte| byte == b' ') {
            self.is_filled.store(true, Ordering::Relaxed);
            return self.term.write_str("\u{1b}[K");
        }
        if self.is_filled.swap(false, Ordering::Relaxed) && text != "\r" {
            self.term.write_str("\n")?;
        }
        self.term.write_str(text)
    }

    fn clear_line(&self) -> Result<()> {
        self.moved().clear_line()
    }

    fn flush(&self) -> Result<()> {
        self.term.flush()
    }
}
