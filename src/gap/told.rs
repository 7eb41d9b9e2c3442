//! What the application has been told, as it offers it: one operationId a line, or one event a line as JSON.

use serde::Deserialize;

/// An event that the application got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it stays idempotent by.
    pub operation_id: String,
    /// The event's name.
    pub event: Option<String>,
    /// The instance.
    pub instance_id: Option<String>,
    /// The order that caused it.
    pub order_id: Option<String>,
    /// It belongs to a debugging call.
    pub test: bool,
}

/// A line that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}; one operationId a line is wanted, or one event a line as JSON")]
pub struct Fault {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// The members of an event that matter here; what else there is does not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    operation_id: String,
    event: Option<String>,
    instance_id: Option<String>,
    order_id: Option<String>,
    order: Option<Order>,
    #[serde(default)]
    test: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    order_id: Option<String>,
}

impl Told {
    /// An operationId of which nothing else is known.
    pub fn bare(operation_id: &str) -> Self {
        let operation_id = operation_id.to_owned();
        Self { operation_id, event: None, instance_id: None, order_id: None, test: false }
    }
}

/// Reads a file of them. Blank lines do not count; of events that came several times the first counts.
///
/// # Errors
/// The first line that is neither an operationId nor an event.
pub fn read(text: &str) -> Result<Vec<Told>, Fault> {
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let fault = |problem: String| Fault { line: index + 1, problem };
        let told = match line.trim().trim_start_matches('\u{feff}') {
            "" => continue,
            object if object.starts_with('{') => {
                let line: Line = serde_json::from_str(object).map_err(|error| fault(error.to_string()))?;
                let order_id = line.order_id.or_else(|| line.order.and_then(|order| order.order_id));
                let Line { operation_id, event, instance_id, test, .. } = line;
                Told { operation_id, event, instance_id, order_id, test }
            }
            id if id.contains(char::is_whitespace) => return Err(fault("an operationId has no blanks".to_owned())),
            id => Told::bare(id.trim_matches('"')),
        };
        if seen.insert(told.operation_id.clone()) {
            all.push(told);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_events_are_read_each_once() {
        let text = "\u{feff}op-1\n\n  \"op-2\"\r\n\
            {\"event\":\"instance.create\",\"operationId\":\"op-3\",\"attempt\":2,\"instanceId\":\"i-3\",\
            \"order\":{\"orderId\":\"CS3\"}}\nop-1\n{\"operationId\":\"op-4\",\"orderId\":\"CS4\",\"test\":true}\n";
        let told = read(text).unwrap();
        let event = Told {
            event: Some("instance.create".to_owned()),
            instance_id: Some("i-3".to_owned()),
            order_id: Some("CS3".to_owned()),
            ..Told::bare("op-3")
        };
        let test = Told { order_id: Some("CS4".to_owned()), test: true, ..Told::bare("op-4") };
        assert_eq!(told, [Told::bare("op-1"), Told::bare("op-2"), event, test]);
    }

    #[test]
    fn a_line_that_is_neither_is_named() {
        for (text, line) in [("op-1\nop 2", 2), ("{\"event\":\"x\"}", 1), ("\n\n{", 3)] {
            assert_eq!(read(text).unwrap_err().line, line, "{text}");
        }
    }
}
