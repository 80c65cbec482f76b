//! Test results in JUnit's XML, as CI systems read it.

use super::test::FileReport;

/// The document: a suite for each file, a case for each test.
pub(super) fn document(files: &[FileReport]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for file in files {
        let failed = file.cases.iter().filter(|case| !case.report.failures.is_empty()).count();
        let seconds: f64 = file.cases.iter().map(|case| case.took.as_secs_f64()).sum();
        let suite = escaped(&file.file.display().to_string());
        out.push_str(&format!(
            "  <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{failed}\" time=\"{seconds:.3}\">\n",
            file.cases.len()
        ));
        for case in &file.cases {
            let name = escaped(&case.report.name);
            let seconds = case.took.as_secs_f64();
            out.push_str(&format!("    <testcase name=\"{name}\" classname=\"{suite}\" file=\"{suite}\" line=\"{}\" time=\"{seconds:.3}\"",
                case.report.line
            ));
            if case.report.failures.is_empty() {
                out.push_str("/>\n");
                continue;
            }
            out.push_str(">\n");
            for failure in &case.report.failures {
                let message = escaped(&failure.message);
                out.push_str(&format!(
                    "      <failure message=\"{message}\">{suite}:{}: {message}</failure>\n",
                    failure.line
                ));
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text for an attribute or an element; characters that XML cannot hold are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
