//! What a browser sends for a form.

/// The type of [`body`].
pub(crate) const URLENCODED: &str = "application/x-www-form-urlencoded";

/// Fields as the body of a request: every byte that is no letter or digit by its number.
pub(crate) fn body(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}
