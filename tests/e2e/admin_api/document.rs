//! `docs/openapi.yaml` as the tests use it: which operations it has, and whether an answer is one that it describes.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::harness::{Answer, text};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The description of the local API.
pub struct Document(pub Value);

/// One method on one path of the description.
pub struct Operation<'d> {
    /// `GET`
    pub method: String,
    /// With names in braces.
    pub path: &'d str,
    /// What is said of it.
    pub told: &'d Value,
    /// Its parameters and those of its path.
    pub parameters: Vec<&'d Value>,
}

/// The file, read once.
pub fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.yaml");
        Document(serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
    });
    &DOCUMENT
}

impl Operation<'_> {
    /// Names of its parameters that stand in the path or in the query, in order.
    pub fn parameters_in(&self, place: &str) -> Vec<&str> {
        let there = self.parameters.iter().filter(|parameter| parameter["in"] == place);
        let mut names: Vec<_> = there.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// No token is needed.
    pub fn is_open(&self) -> bool {
        self.told["security"] == json!([])
    }

    fn is_at(&self, path: &str) -> bool {
        let (names, segments) = (self.path.split('/'), path.split('/'));
        self.path.split('/').count() == path.split('/').count()
            && names
                .zip(segments)
                .all(|(name, segment)| name == segment || (name.starts_with('{') && !segment.is_empty()))
    }
}

impl Document {
    /// Every operation.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for method in METHODS.into_iter().filter(|method| item.get(method).is_some()) {
                let told = &item[method];
                let parameters = [&item["parameters"], &told["parameters"]].into_iter().filter_map(Value::as_array);
                let parameters = parameters.flatten().map(|parameter| self.resolved(parameter)).collect();
                operations.push(Operation { method: method.to_uppercase(), path, told, parameters });
            }
        }
        operations
    }

    /// What a `$ref` leads to; anything else is itself.
    pub fn resolved<'d>(&'d self, value: &'d Value) -> &'d Value {
        let Some(reference) = value.get("$ref") else { return value };
        let pointer = reference.as_str().unwrap().strip_prefix('#').expect("a reference within the file");
        self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    /// In what a value differs from a schema of the file.
    pub fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let root = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&root);
        let validator = validator.unwrap_or_else(|error| panic!("{error}: {schema}"));
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// Fails unless an answer of the server is one that the file describes for this request.
    #[track_caller]
    pub fn check(&self, method: &str, target: &str, answer: &Answer) {
        let path = target.split('?').next().unwrap();
        let asked = if method == "HEAD" { "GET" } else { method };
        let problem = json!({ "$ref": "#/components/responses/NotFound" });
        let operations = self.operations();
        let response = match operations.iter().find(|operation| operation.method == asked && operation.is_at(path)) {
            Some(operation) => {
                let told = operation.told["responses"].get(answer.status.to_string());
                told.unwrap_or_else(|| panic!("{method} {target}: {} is not described", answer.status))
            }
            // Who has no token is told nothing.
            None if answer.status == 401 => &problem,
            None if operations.iter().any(|operation| operation.is_at(path)) => {
                assert!(answer.status == 405 && answer.header("Allow").is_some(), "{method} {target}: {answer:?}");
                &problem
            }
            None => {
                assert_eq!(answer.status, 404, "{method} {target} is not described");
                &problem
            }
        };
        if method == "HEAD" {
            return;
        }
        let content = self.resolved(response)["content"].as_object().expect("a described body");
        let sent = answer.header("Content-Type").unwrap().split(';').next().unwrap();
        let schema =
            &content.get(sent).unwrap_or_else(|| panic!("{method} {target}: {sent} is not described"))["schema"];
        let body = if sent == "application/json" { answer.json() } else { text(&answer.body).into() };
        let faults = self.faults(schema, &body);
        assert!(faults.is_empty(), "{method} {target}: {}: {body:#}\n{faults:#?}", answer.status);
    }
}
