//! The gradebook as a CSV file.

/// A record, as RFC 4180 has it.
pub fn record<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = cells.into_iter().map(cell).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A cell. What a spreadsheet would take for a formula is made a text by the sign that spreadsheets have for it.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
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
}
