//! Every kind of alarm: its name in the database, the API and the documentation, how grave it is, and how it ends.

use std::fmt;

/// How soon somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Money or calls are being lost, or are about to be: now.
    Urgent,
    /// Within the day.
    Warning,
}

impl Severity {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Warning => "warning",
        }
    }
}

/// How an alarm comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It stands as long as a look finds it; the end is told.
    Looked,
    /// The same, but its end is no good news: time has passed, or another alarm has taken its place. It is not told.
    Faded,
    /// It stands until the part of koogate that raised it says that it is over, or a restart; the end is told.
    Said,
    /// It happened. When it has not happened again for a day it is forgotten, and nobody is told.
    Quiet,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $severity:ident, $ending:ident;)+) => {
        /// A kind of alarm.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)+ }

        impl Kind {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name, which stays once it is published.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// How grave it is by itself; facts may make it graver.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// How it ends.
            pub fn ending(self) -> Ending {
                match self { $(Self::$name => Ending::$ending,)+ }
            }
        }
    };
}

kinds! {
    /// An order is open, and KooGallery refunds it soon.
    CreationOpen = "creation-open", Urgent, Faded;
    /// Orders of a product failed this month.
    OrdersFailed = "orders-failed", Warning, Faded;
    /// KooGallery's test calls stay away.
    TestCallsAway = "test-calls-away", Urgent, Looked;
    /// A test call of KooGallery was answered with a failure.
    TestCallFailed = "test-call-failed", Urgent, Quiet;
    /// A job was given up.
    JobDead = "job-dead", Urgent, Looked;
    /// A stock is empty.
    StockEmpty = "stock-empty", Urgent, Looked;
    /// A stock is low.
    StockLow = "stock-low", Warning, Faded;
    /// An instance is frozen though it is paid.
    FrozenThoughPaid = "frozen-though-paid", Warning, Looked;
    /// A product that nobody has configured was ordered.
    NoProduct = "no-product", Urgent, Quiet;
    /// A product's entry cannot hand out what it should.
    Misconfigured = "misconfigured", Urgent, Quiet;
    /// An instance waits for the operator.
    InstanceWaiting = "instance-waiting", Urgent, Looked;
    /// A licence waits for the operator.
    LicenseWaiting = "license-waiting", Urgent, Looked;
    /// A change has to be carried out by hand.
    DoByHand = "do-by-hand", Warning, Quiet;
    /// An order could not be read, and the application was told ids only.
    OrderUnread = "order-unread", Warning, Quiet;
    /// An instance's access data have no room in a V1 answer.
    AccessNoRoom = "access-no-room", Warning, Quiet;
    /// A client secret of the kit cannot be opened.
    SecretUnreadable = "secret-unreadable", Urgent, Quiet;
    /// A login failed for a reason of koogate's own.
    LoginFailed = "login-failed", Warning, Quiet;
    /// A call could not be carried out, and was answered 000005.
    CallFailed = "call-failed", Urgent, Quiet;
    /// Usage is not sent in time.
    UsageOverdue = "usage-overdue", Urgent, Looked;
    /// KooGallery turns away whoever pushes.
    UsageStuck = "usage-stuck", Urgent, Quiet;
    /// KooGallery has rejected usage records.
    UsageRejected = "usage-rejected", Urgent, Faded;
    /// KooGallery has refused the access key of the open API.
    OpenApiLocked = "open-api-locked", Urgent, Looked;
    /// This machine's clock is wrong.
    ClockOff = "clock-off", Urgent, Looked;
    /// The certificate ends soon, or has ended.
    CertificateEnds = "certificate-ends", Warning, Looked;
    /// The certificate's new files cannot be used.
    CertificateNotReplaced = "certificate-not-replaced", Warning, Said;
    /// The configuration was not reloaded.
    ReloadFailed = "reload-failed", Warning, Said;
    /// The database cannot be written.
    DatabaseUnwritable = "database-unwritable", Urgent, Looked;
    /// A recorded answer has changed on the disk.
    DatabaseDamaged = "database-damaged", Urgent, Quiet;
    /// The log of a database that was not closed has disappeared.
    WalGone = "wal-gone", Urgent, Quiet;
    /// The log of the database grows and cannot be moved.
    WalGrows = "wal-grows", Warning, Looked;
    /// The disk is nearly full.
    DiskLow = "disk-low", Urgent, Looked;
    /// The snapshot is too old.
    SnapshotOld = "snapshot-old", Warning, Looked;
    /// The dated series does not go on.
    SeriesOld = "series-old", Warning, Looked;
    /// A copy is damaged.
    CopyDamaged = "copy-damaged", Urgent, Quiet;
    /// A copy took the place of the database, and nobody has looked at what is missing.
    RestoreGap = "restore-gap", Urgent, Looked;
    /// The watchdog does not get its answers.
    ServiceIll = "service-ill", Urgent, Looked;
    /// Fewer files may be open than may be needed.
    FilesShort = "files-short", Warning, Said;
    /// Connections cannot be accepted.
    ConnectionsRefused = "connections-refused", Urgent, Said;
}

impl Kind {
    /// The kind of this name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::parse("nothing"), None);
    }
}
