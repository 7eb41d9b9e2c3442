//! A row of the journal.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::time_ms;
use crate::store::ExchangeRow;

/// In a listing and by itself.
pub fn listed(row: &ExchangeRow) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Bodies and identities that are JSON are shown as what they are, others as text.
    let json_or_text = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
    json!({
        "id": row.id,
        "receivedAt": time_ms(row.received_at),
        "durationMs": row.duration_us.map(us_to_ms),
        "environment": row.environment,
        "family": row.family,
        "activity": row.activity,
        "orderId": row.order_id,
        "instanceId": row.instance_id,
        "resultCode": row.result_code,
        "replayed": row.replayed,
        "difference": row.difference.clone().map(json_or_text),
        "operation": row.identity.clone().map(json_or_text),
        "firstExchange": row.first_exchange,
        "request": without_token(&row.request_line),
        "requestBody": text(&row.request_body),
        "requestSealed": row.request_sealed,
        "answer": row.answer.as_deref().map(text),
        "peer": row.peer,
        "accessKey": row.access_key,
    })
}

/// A request line without its token: V1 tokens have no time limit, so whoever reads one could make the call again. Its name
/// may be written with percent signs, too.
pub fn without_token(request_line: &str) -> String {
    let Some((before, query)) = request_line.split_once('?') else { return request_line.to_owned() };
    let is_token = |name: &str| percent_decode_str(name).eq(*b"authToken");
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_token(name) => format!("{name}=***"),
        _ => pair.to_owned(),
    });
    format!("{before}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// Microseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a duration in microseconds is far below 2^52")]
pub fn us_to_ms(us: i64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown_wherever_it_stands() {
        for (line, expected) in [
            ("GET /p?authToken=z6q%3D&activity=x", "GET /p?authToken=***&activity=x"),
            ("GET /p?activity=x&authToken=z6q=", "GET /p?activity=x&authToken=***"),
            ("GET /p?authToken=a&authToken=b&c=d", "GET /p?authToken=***&authToken=***&c=d"),
            ("GET /p?%61uth%54oken=a%3D&x", "GET /p?%61uth%54oken=***&x"),
            ("GET /p?xauthToken=a&authTokens=b", "GET /p?xauthToken=a&authTokens=b"),
            ("GET /p?authToken", "GET /p?authToken"),
            ("POST /p", "POST /p"),
            ("POST /p?signature=s&timestamp=1", "POST /p?signature=s&timestamp=1"),
        ] {
            assert_eq!(without_token(line), expected);
        }
    }
}
