//! What the seller console's debugging page says of a fault, in the words a seller sees there (常见问题 of the access guides,
//! as of 2025-11). Pure: a finding, and the answer it is about.
//!
//! The page names one fault at a time and stops; we name all. What it never looks at, such as a call under another key, has
//! no words of it.

use super::client::{Answer, ClientError};
use crate::protocol::reply_checks::Finding;

/// No answer, or none that comes from the seller's server.
const UNREACHABLE: &str = "调测失败,生产地址不可达.";
const TIMEOUT: &str = "调测失败,调用接口超时20s.";
const BODY_SIGN: &str = "调测失败,生产接口响应头缺少Body-Sign,或Body-Sign格式错误.";
const SIGNATURE: &str = "响应Http Body签名校验失败,预期的签名值:…";
const BODY: &str = r#"调测失败,解析响应体失败,响应格式参考{"resultCode":"000000","resultMsg":"success."}."#;

/// A call that must succeed was answered with another result code.
pub(super) const RESULT_CODE: &str = "调用失败,生产接口resultCode返回错误.";

/// Of a call without an answer.
pub(super) fn of_error(error: &ClientError) -> &'static str {
    match error {
        ClientError::Timeout => TIMEOUT,
        ClientError::Resolve { .. } | ClientError::Connect { .. } | ClientError::Tls(_) => UNREACHABLE,
        ClientError::Io(_) | ClientError::Malformed(_) => UNREACHABLE,
    }
}

/// Of an answer in which this was found, before its text has been put into a context.
pub(super) fn of_reply(finding: &Finding, answer: &Answer) -> Option<String> {
    match finding.rule {
        "redirect" | "http-status" => {
            Some(format!("调测失败,接口响应httpCode={},请检查服务器日志,定位失败原因.", answer.status))
        }
        "content-type" => {
            let found = answer.header("Content-Type").unwrap_or("null");
            Some(format!("调测失败,响应content-type格式错误,返回的格式为{found},正确的格式为\"application/json\"."))
        }
        "content-encoding" | "json" | "utf-8" | "byte-order-mark" => Some(BODY.to_owned()),
        _ => of_content(finding),
    }
}

/// The same where the answer does not matter.
pub(super) fn of_content(finding: &Finding) -> Option<String> {
    // The path of the member comes first in the text (`protocol/reply_checks/members`).
    let path = finding.text.split(' ').next().unwrap_or_default();
    let member = path.rsplit('.').next().unwrap_or_default();
    match finding.rule {
        "body-sign" if finding.text.contains("does not fit") => Some(SIGNATURE.to_owned()),
        "body-sign" => Some(BODY_SIGN.to_owned()),
        "result-code" | "result-msg" => Some(BODY.to_owned()),
        "missing" => Some(format!("调测失败,接口响应缺少{member}.")),
        "info" => Some("调测失败,接口响应缺少instanceId.".to_owned()),
        "app-info" => Some("调测失败,接口响应缺少frontEndUrl.".to_owned()),
        "length" => Some(format!("调测失败,字段{member}长度不合法.")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::key::AccessKey;
    use crate::protocol::reply_checks::{BodySign, ReplyShape, check_reply};
    use crate::secret::Secret;

    /// What the console says of an answer in all.
    fn said(status: u16, headers: &[(&str, &str)], body: &str, shape: ReplyShape) -> Vec<String> {
        let key = AccessKey::new("k".to_owned(), Secret::new("k".to_owned()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (status_line, body) = (String::new(), body.as_bytes().to_vec());
        let answer = Answer { status, status_line, headers, body, elapsed: Duration::ZERO };
        let findings = check_reply((&shape, BodySign::Mandatory), status, &answer.headers, &answer.body, &key);
        findings.iter().filter_map(|finding| of_reply(finding, &answer)).collect()
    }

    #[test]
    fn every_fault_of_the_consoles_list_is_said_in_its_words() {
        let json = ("Content-Type", "application/json");
        let body = r#"{"resultCode":"000000","resultMsg":"ok"}"#;
        let key = AccessKey::new("k".to_owned(), Secret::new("k".to_owned()));
        let right = |body: &str| crate::protocol::body_sign::header_value(&key, body.as_bytes());
        let signed = right(body);
        let plain = ReplyShape::Plain;
        assert_eq!(said(200, &[json, ("Body-Sign", &signed)], body, plain), [""; 0]);
        assert_eq!(said(200, &[json], body, plain), [BODY_SIGN]);
        assert_eq!(said(200, &[json, ("body-sign", &signed)], body, plain), [BODY_SIGN]);
        assert_eq!(said(200, &[json, ("Body-Sign", &right("{}"))], body, plain), [SIGNATURE]);
        let moved = "调测失败,接口响应httpCode=301,请检查服务器日志,定位失败原因.";
        assert_eq!(said(301, &[json, ("Body-Sign", &signed)], body, plain), [moved]);
        let html = ("Content-Type", "text/html");
        let wrong = "调测失败,响应content-type格式错误,返回的格式为text/html,正确的格式为\"application/json\".";
        assert_eq!(said(200, &[html, ("Body-Sign", &signed)], body, plain), [wrong]);
        for body in ["<html>", r#"{"resultCode":"000000"}"#, r#"{"resultMsg":"ok"}"#] {
            assert_eq!(said(200, &[json, ("Body-Sign", &right(body))], body, plain), [BODY], "{body}");
        }
        let created = |body: &str| said(200, &[json, ("Body-Sign", &right(body))], body, ReplyShape::NewInstance);
        assert_eq!(created(body), ["调测失败,接口响应缺少instanceId."]);
        let long = format!(
            r#"{{"resultCode":"000000","resultMsg":"ok","instanceId":"i","appInfo":{{"frontEndUrl":"{}"}}}}"#,
            "x".repeat(513)
        );
        assert_eq!(created(&long), ["调测失败,字段frontEndUrl长度不合法."]);
    }

    #[test]
    fn a_call_without_an_answer_is_told_by_its_cause() {
        assert_eq!(of_error(&ClientError::Timeout), TIMEOUT);
        assert_eq!(of_error(&ClientError::Malformed("x")), UNREACHABLE);
    }
}
