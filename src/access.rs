//! How a buyer gets into an instance: what KooGallery shows as `appInfo`.
//!
//! The limits of its fields are checked where a value comes in (the application's answer, the stock, the operator's
//! command), so that an answer to KooGallery can always be written.

use crate::secret::Secret;

/// Access data of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Site of the application.
    pub front_end_url: String,
    /// Site of its administration.
    pub admin_url: Option<String>,
    /// First account.
    pub user_name: Option<Secret<String>>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// A note for the buyer.
    pub memo: Option<String>,
}
