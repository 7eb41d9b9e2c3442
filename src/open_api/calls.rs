//! The calls of the open API, one function each.

use std::sync::{PoisonError, TryLockError};

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::OpenApiError;
use super::{Call, OpenApi, Patience, UploadPayload};
use crate::config::UsageInterface;
use crate::license::License;
use crate::protocol::key::AccessKey;
use crate::protocol::open_api::license::{self, CodeInfo, SoftwareUsage};
use crate::protocol::open_api::order::{self, Order};
use crate::protocol::open_api::upload::{self, Upload};
use crate::protocol::open_api::{aksk, usage_signature};
use crate::store::{OrderRow, Store};

/// The path of a push of usage records.
const USAGE_PATH: &str = "/api/mkp-openapi-public/global/v1/isv/usage-data";
/// The same in the old interface.
const OLD_USAGE_PATH: &str = "/rest/marketplace/v1/isv/usage-data";

impl OpenApi {
    /// Asks for an order; returns `orderInfo` as it came, and read.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn order(&self, store: &Store, order_id: &str, patience: Patience) -> Result<(Value, Order), OpenApiError> {
        // Without its line: the whole order is kept, and other lines of it may be asked for.
        let query = [("orderId", order_id)];
        let call = Call {
            name: "order query",
            method: "GET",
            path: order::PATH,
            query: &query,
            headers: &[],
            body: b"",
            locks: true,
        };
        let mut reply = self.call(store, &call, patience)?;
        let info = reply.remove("orderInfo");
        let fault = |fault| OpenApiError::Order { order_id: order_id.to_owned(), fault };
        let order = Order::read(info.as_ref(), order_id).map_err(fault)?;
        Ok((info.unwrap_or_default(), order))
    }

    /// Asks for an order, and keeps what is told in place of what was.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn order_and_keep(
        &self,
        store: &Store,
        order_id: &str,
        patience: Patience,
    ) -> Result<(OrderRow, Value), OpenApiError> {
        let (info, order) = self.order(store, order_id, patience)?;
        let (fetched_at, told) = (Timestamp::now(), info.clone());
        let row = OrderRow {
            order_id: order.order_id.clone(),
            order_type: order.order_type.clone(),
            create_time: order.create_time,
            fetched_at,
        };
        store.write(None, move |tx| tx.put_order(&order, &told, fetched_at))?;
        Ok((row, info))
    }

    /// Activates an authorisation code.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn activate(
        &self,
        store: &Store,
        code: &str,
        real_effect_time: Option<Timestamp>,
        patience: Patience,
    ) -> Result<CodeInfo, OpenApiError> {
        let body = license::activate(code, real_effect_time);
        let reply = self.post(store, "license activate", license::ACTIVATE_PATH, &body, patience)?;
        Ok(CodeInfo::of_activation(&reply))
    }

    /// Activates up to [`license::MOST`] codes.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn activate_list(
        &self,
        store: &Store,
        codes: &[String],
        real_effect_time: Option<Timestamp>,
        patience: Patience,
    ) -> Result<(), OpenApiError> {
        let body = license::activate_list(codes, real_effect_time);
        self.post(store, "license activate", license::ACTIVATE_LIST_PATH, &body, patience).map(drop)
    }

    /// Asks for the state of an authorisation code.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn heartbeat(&self, store: &Store, code: &str, patience: Patience) -> Result<CodeInfo, OpenApiError> {
        let body = license::heartbeat(code);
        let reply = self.post(store, "license heartbeat", license::HEARTBEAT_PATH, &body, patience)?;
        Ok(CodeInfo::of_heartbeat(&reply))
    }

    /// Asks for the state of up to [`license::MOST`] codes.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn heartbeat_list(
        &self,
        store: &Store,
        codes: &[String],
        patience: Patience,
    ) -> Result<Vec<(String, CodeInfo)>, OpenApiError> {
        let body = license::heartbeat_list(codes);
        let reply = self.post(store, "license heartbeat", license::HEARTBEAT_LIST_PATH, &body, patience)?;
        Ok(CodeInfo::of_heartbeats(&reply))
    }

    /// Tells who uses the software.
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn software_usage(
        &self,
        store: &Store,
        usage: &[(String, Vec<SoftwareUsage>)],
        patience: Patience,
    ) -> Result<(), OpenApiError> {
        let body = license::software_usage(usage);
        self.post(store, "software usage", license::SOFTWARE_USAGE_PATH, &body, patience).map(drop)
    }

    /// Pushes usage records, in the interface that is configured. `body` is sent as it is; `key` is the access key of the
    /// basic interface.
    ///
    /// # Errors
    /// See [`OpenApiError`]; which of several records failed is in the refusal.
    pub fn push_usage(&self, store: &Store, key: &AccessKey, body: &str) -> Result<(), OpenApiError> {
        let name = "usage push";
        if self.settings.usage_interface == UsageInterface::Old {
            return self.post(store, name, OLD_USAGE_PATH, body, Patience::Once).map(drop);
        }
        let (ts, nonce) = (Timestamp::now().as_millisecond().to_string(), random_text());
        let signature = usage_signature::sign(key, &ts, &nonce, body);
        let headers =
            [("Content-Type", "application/json"), ("signature", signature.as_str()), ("ts", &ts), ("nonce", &nonce)];
        let call = Call {
            name,
            method: "POST",
            path: USAGE_PATH,
            query: &[],
            headers: &headers,
            body: body.as_bytes(),
            locks: true,
        };
        self.call(store, &call, Patience::Once).map(drop)
    }

    /// Uploads a licence for one of KooGallery's requests. Where KooGallery refuses the signature of an unsigned body, the
    /// signature over its hash is tried, once (spec 5-open-api §7).
    ///
    /// # Errors
    /// See [`OpenApiError`].
    pub fn upload(&self, store: &Store, event_id: &str, license: &License) -> Result<(), OpenApiError> {
        let upload = Upload::new(license, &format!("koogate-{}", random_text()));
        let mut payload = self.upload_payload();
        let _probing = match payload {
            UploadPayload::Unsigned | UploadPayload::Hash => {
                return self.send_upload(store, event_id, &upload, payload == UploadPayload::Hash, true);
            }
            UploadPayload::Untried | UploadPayload::TriedUnsigned => match self.probing_upload.try_lock() {
                Ok(probing) => probing,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Err(super::crowded()),
            },
        };
        // Somebody else may have found it out meanwhile.
        payload = self.upload_payload();
        let hashes = matches!(payload, UploadPayload::TriedUnsigned | UploadPayload::Hash);
        // The first refusal says nothing of the key yet.
        let sent = self.send_upload(store, event_id, &upload, hashes, payload != UploadPayload::Untried);
        let refused = sent.as_ref().is_err_and(OpenApiError::refuses_key);
        self.learn_payload(payload, &sent);
        if payload != UploadPayload::Untried || !refused {
            return sent;
        }
        let sent = self.send_upload(store, event_id, &upload, true, true);
        self.learn_payload(UploadPayload::TriedUnsigned, &sent);
        sent
    }

    fn upload_payload(&self) -> UploadPayload {
        *self.upload_payload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an upload tells of the payload that KooGallery wants signed.
    fn learn_payload(&self, tried: UploadPayload, sent: &Result<(), OpenApiError>) {
        let is_taken = sent.as_ref().err().is_none_or(OpenApiError::proves_key);
        let is_refused = sent.as_ref().is_err_and(OpenApiError::refuses_key);
        let learnt = match tried {
            UploadPayload::Untried if is_taken => UploadPayload::Unsigned,
            UploadPayload::Untried if is_refused => UploadPayload::TriedUnsigned,
            UploadPayload::TriedUnsigned if is_taken => {
                log::warn!("KooGallery wants the hash of uploads signed: set open_api.multipart_payload = \"hash\"");
                UploadPayload::Hash
            }
            // Neither: it is the key.
            UploadPayload::TriedUnsigned if is_refused => UploadPayload::Unsigned,
            _ => return,
        };
        *self.upload_payload.lock().unwrap_or_else(PoisonError::into_inner) = learnt;
    }

    fn send_upload(
        &self,
        store: &Store,
        event_id: &str,
        upload: &Upload,
        hashes: bool,
        locks: bool,
    ) -> Result<(), OpenApiError> {
        let hash = hashes.then(|| aksk::sha256_hex(&upload.body));
        let mut headers = vec![("Content-Type", upload.content_type.as_str())];
        headers.extend(hash.as_deref().map(|hash| ("X-Sdk-Content-Sha256", hash)));
        let (path, body) = (upload::path(event_id), &upload.body);
        let call =
            Call { name: "licence upload", method: "POST", path: &path, query: &[], headers: &headers, body, locks };
        self.call(store, &call, Patience::Once).map(drop)
    }

    fn post(
        &self,
        store: &Store,
        name: &'static str,
        path: &str,
        body: &str,
        patience: Patience,
    ) -> Result<Map<String, Value>, OpenApiError> {
        let headers = [("Content-Type", "application/json")];
        let body = body.as_bytes();
        self.call(
            store,
            &Call { name, method: "POST", path, query: &[], headers: &headers, body, locks: true },
            patience,
        )
    }
}

/// A text that nobody has had before.
fn random_text() -> String {
    Uuid::new_v4().simple().to_string()
}
