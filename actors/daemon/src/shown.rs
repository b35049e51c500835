//! Text of others as a terminal may get it: a key or the words of a panic must not colour, move the cursor or forge
//! rows. Programs get it as it is.

use std::borrow::Cow;

/// In one line: everything that a terminal would not show as a character of its own stands as `\u{1b}`.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, acts)
}

/// The same over several lines: ends of lines and tabs stay.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| acts(c) && !matches!(c, '\n' | '\t'))
}

/// Whether a terminal does something at this character, or nothing that can be seen: controls, further ends of lines,
/// what turns the direction of writing (Unicode Standard Annex 9, section 2), and what has no width.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || c == '\u{feff}'
}

/// In one line of this many characters at most, the middle left out of a longer one.
pub(crate) fn within(text: &str, characters_max: usize) -> String {
    let text = line(text);
    let count = text.chars().count();
    if count <= characters_max {
        return text.into_owned();
    }
    let kept = characters_max.saturating_sub(1);
    let begin = text.chars().take(kept - kept / 2);
    begin.chain(['…']).chain(text.chars().skip(count - kept / 2)).collect()
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_middle_is_left_out() {
        assert_eq!(within("abcdefgh", 8), "abcdefgh");
        assert_eq!(within("abcdefghi", 8), "abcd…ghi");
        assert_eq!(within("a\nbcdefghi", 8), r"a\u{…ghi");
    }

    #[test]
    fn what_a_terminal_would_follow_is_shown_escaped() {
        assert_eq!(line("\x1b[31mred\nnew\u{7}"), r"\u{1b}[31mred\u{a}new\u{7}");
        assert_eq!(line("\u{9b}2J\u{202e}txt\u{2069}"), r"\u{9b}2J\u{202e}txt\u{2069}");
        assert_eq!(line("a\u{200b}b\u{200d}\u{feff}"), r"a\u{200b}b\u{200d}\u{feff}");
        assert_eq!(line("Größe 茶 🍵 a\\b"), "Größe 茶 🍵 a\\b");
        assert_eq!(lines("a\n\tb\r\x1b[1A"), "a\n\tb\\u{d}\\u{1b}[1A");
    }
}
