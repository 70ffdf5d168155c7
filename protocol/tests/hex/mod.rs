//! Bytes as hexadecimal with quoted ASCII: what the golden vectors are written in.

/// Bytes from lines such as `32 07 00 01 "t" 00 0A`. Quoted text knows no escapes.
pub(crate) fn parse_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            bytes.extend(part.as_bytes());
            continue;
        }
        for pair in part.split_whitespace() {
            assert_eq!(pair.len(), 2, "`{pair}` is not two hexadecimal digits in: {text}");
            bytes.push(u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("`{pair}` in: {text}")));
        }
    }
    bytes
}
