//! How things look on the screen of `top`, with colours or without.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Whether there are colours.
    pub(super) colours: bool,
}

impl Look {
    fn colour(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// Something that went wrong.
    pub(super) fn alarming(self) -> Style {
        self.colour(Color::Red)
    }

    /// Something that is not as usual.
    pub(super) fn notable(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// A line that rises and falls.
    pub(super) fn curve(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// What names something.
    pub(super) fn head(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is selected, or asks for an answer.
    pub(super) fn reversed(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
