//! The gradebook as a CSV file.

/// A record, as RFC 4180 has it.
pub fn record<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = cells.into_iter().map(cell).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// What a formula begins with, in whichever alphabet a keyboard has it.
const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// What ends a cell for spreadsheets that are set to another separator than the comma. They don't heed our quotes.
const ENDS: [char; 4] = [';', '\t', '\r', '\n'];

/// A cell. What a spreadsheet would take for a formula is made a text by the sign that spreadsheets have for it.
fn cell(text: &str) -> String {
    let text = defused(text);
    if text.contains([',', '"', ';', '\t', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn defused(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    if text.starts_with(ENDS) {
        safe.push('\'');
    }
    let mut begins = true;
    for letter in text.chars() {
        if begins && SIGNS.contains(&letter) {
            safe.push('\'');
        }
        safe.push(letter);
        // Blanks and quotes at the beginning of a cell are passed over.
        begins = ENDS.contains(&letter) || (begins && (letter == '"' || letter.is_whitespace()));
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k8_cells_are_quoted_where_they_must_be() {
        assert_eq!(
            record(["Ada", "a,b", "say \"hi\"", "two\nlines", ""]),
            "Ada,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\r\n"
        );
    }

    #[test]
    fn s36_no_cell_is_a_formula() {
        for sign in ["=", "+", "-", "@", "\t", "\r", "\n", "＝"] {
            let text = format!("{sign}HYPERLINK(\"https://example.com\",1)");
            let line = record([text.as_str()]);
            assert!(line.trim_start_matches('"').starts_with('\''), "{line:?}");
        }
        assert_eq!(record(["a=b", "1-2"]), "a=b,1-2\r\n");
    }

    #[test]
    fn s36_no_part_of_a_cell_is_a_formula_with_another_separator() {
        for (text, safe) in [
            ("x;=1+1", "\"x;'=1+1\""),
            ("x; \"=1+1", "\"x; \"\"'=1+1\""),
            ("x\t@SUM(A1)", "\"x\t'@SUM(A1)\""),
            ("x\n-1;+1", "\"x\n'-1;'+1\""),
            (" =1", " '=1"),
            (";", "\"';\""),
            ("a;b=c", "\"a;b=c\""),
        ] {
            assert_eq!(record([text]), format!("{safe}\r\n"));
        }
    }
}
