//! What was done to an instance or a directory, and what it means that the copy does not know of it. The words are for
//! somebody who has had a bad night.

/// The copy does not know an instance that KooGallery has.
pub(super) const UNKNOWN_INSTANCE: &str = "KooGallery's calls about it are answered 000003, and a repeated purchase of \
    the order opens another one. If koogate told your application of the purchase, give its event instance.create to \
    `koogate restore --adopt FILE` before the server starts; else look for failed calls in 生产接口消息 and do by hand in your \
    application what they ask";

/// The copy knows the instance, and nothing is known of the event but that it was one.
pub(super) const SOME_CHANGE: &str = "compare the instance with the seller console (`koogate instance show ID`)";

/// Nothing is known but an operationId.
pub(super) const SOMETHING: &str =
    "look in your application for what it was; give the whole event, one JSON object a line, to be told more";

/// What KooGallery wanted done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A purchase.
    Create,
    /// Another expiry date.
    Renew,
    /// Deny use.
    Freeze,
    /// Allow it again.
    Unfreeze,
    /// One of both: the activity does not say which.
    FreezeOrUnfreeze,
    /// Another specification.
    Upgrade,
    /// Delete.
    Release,
    /// A licence.
    License,
    /// Tenants, applications, users, departments.
    Directory,
    /// An order was announced.
    Order,
}

impl Deed {
    /// Of a call; `None`: it changes nothing.
    pub fn of_activity(activity: &str) -> Option<Self> {
        Some(match activity {
            "newInstance" => Self::Create,
            "getLicense" | "getLicenseAsync" => Self::License,
            "refreshInstance" | "refreshLicense" | "refreshLicenseCode" => Self::Renew,
            "expireInstance" | "expireLicense" => Self::Freeze,
            "updateInstanceStatus" | "instanceStatus" | "updateLicenseCodeStatus" => Self::FreezeOrUnfreeze,
            "upgrade" | "upgradeInstance" => Self::Upgrade,
            "releaseInstance" | "releaseLicense" | "releaseLicenseCode" => Self::Release,
            "tenantSync" | "applicationSync" | "authSync" | "singleOrgSync" | "allOrgSync" => Self::Directory,
            "orderNotify" => Self::Order,
            _ => return None,
        })
    }

    /// Of an event; `None`: it changes nothing, or this koogate does not know it.
    pub fn of_event(event: &str) -> Option<Self> {
        Some(match event {
            "instance.create" => Self::Create,
            "instance.renew" => Self::Renew,
            "instance.freeze" => Self::Freeze,
            "instance.unfreeze" => Self::Unfreeze,
            "instance.upgrade" => Self::Upgrade,
            "instance.release" => Self::Release,
            "license.issue" => Self::License,
            "tenant.sync" | "application.sync" | "users.sync" | "departments.sync" => Self::Directory,
            "order.notify" => Self::Order,
            _ => return None,
        })
    }

    /// Whether it needs an instance.
    pub(super) fn is_about_an_instance(self) -> bool {
        !matches!(self, Self::Directory | Self::Order)
    }

    /// What is to be done when KooGallery and the application have done it and the copy has not; `None`: nothing.
    pub fn mend_of_done(self) -> Option<&'static str> {
        Some(match self {
            Self::Create => UNKNOWN_INSTANCE,
            Self::Renew => {
                "your application has the new date, koogate shows the old one until the next renewal; nothing is lost for \
                 the buyer"
            }
            Self::Freeze => {
                "your application has frozen it, koogate takes it for active: when KooGallery unfreezes it, your \
                 application is not told. Unfreeze it there by hand then"
            }
            Self::Unfreeze => {
                "your application has unfrozen it, koogate takes it for frozen: when KooGallery freezes it next, your \
                 application is not told. Freeze it there by hand then"
            }
            Self::FreezeOrUnfreeze => {
                "compare the status in the seller console, in your application and in `koogate instance show ID`: where \
                 koogate's is another, it tells your application nothing of the change that leads to it. Do that by hand"
            }
            Self::Upgrade => {
                "your application has the new specification, koogate shows the old one; the order in the seller console \
                 says what was bought"
            }
            Self::Release => {
                "it is gone for KooGallery and in your application; koogate goes on listing it, no call comes"
            }
            Self::License => {
                "the licence was made; whether KooGallery has it the seller console says. If it asks again, your \
                 application is asked for another one"
            }
            Self::Directory => {
                "KooGallery does not repeat it by itself: compare `koogate tenant show ID` with the seller console, and \
                 have the tenant's administrator synchronise again"
            }
            Self::Order => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fulfilment::event::EventName;

    #[test]
    fn every_event_but_the_question_is_known() {
        for name in EventName::ALL {
            let deed = Deed::of_event(name.as_str());
            assert_eq!(deed.is_none(), name == EventName::InstanceCheckChange, "{}", name.as_str());
        }
    }
}
