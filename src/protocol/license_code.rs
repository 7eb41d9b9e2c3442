//! L2, authorisation codes 2.0 (License授权码): V2's transport, three activities, all about codes that KooGallery made
//! (spec 4-license §3).

use crate::kind::Kind;
use crate::protocol::activity::{Activity, ActivityFamily};
use crate::protocol::basic_v2::{read_refresh, read_release, read_status};
use crate::protocol::call::Call;
use crate::protocol::key::AccessKey;
use crate::protocol::members::{MemberFault, Members};
use crate::protocol::reply_checks::ReplyShape;
use crate::protocol::transport::Transport;
use crate::protocol::{Keyring, Rules};

/// The family.
pub static LICENSE_CODE: ActivityFamily = ActivityFamily {
    name: "license-code",
    kind: Kind::LicenseCode,
    transport: Transport::SignedPost,
    keys: Keyring::license,
    activities: &[
        Activity::new("refreshLicenseCode", |members, _| read_refresh(members, "license")),
        Activity::new("updateLicenseCodeStatus", |members, _| read_status(members, "license")),
        Activity::new("releaseLicenseCode", |members, _| read_release(members, "license")),
    ],
    complete: adopt,
    encrypts_credentials: false,
    creation: ReplyShape::Plain,
    order_query: false,
};

/// Nobody tells the seller that a code was bought: any call may be the first about it (spec 4-license §3.5).
fn adopt(call: &mut Call, _: Members<'_>, _: &AccessKey, rules: &Rules) -> Result<(), MemberFault> {
    call.adopts_unknown = rules.adopts_unknown_codes;
    Ok(())
}
