//! What to do about a record that KooGallery refused, by its code (spec 5-open-api §6.3).

/// A sentence for the operator and the application's developer. Codes are as [`super::judge`] keeps them: without blanks
/// and without the prefix that is sometimes printed before them.
pub fn what_to_do(code: &str) -> &'static str {
    match super::judge::bare(code).as_str() {
        "001" | "9001" => {
            "KooGallery does not know the instance: check that it was bought on this site and is not a test, then report \
             again"
        }
        "002" => "the time format was refused, which is koogate's fault: please report it as a bug with the record",
        "003" | "9002" => {
            "the value was refused: it must be greater than 0 with at most 4 decimals and 8 digits before the point \
             (international sites); report again in the unit that is billed"
        }
        "004" => "the metering_sn was missing: check that the usage interface is the one that the product is set to",
        "006" => "the product was withdrawn: ask KooGallery's support how its last usage is billed",
        "007" | "9004" => {
            "the time began more than 21 days before it arrived: it cannot be billed any more; settle it with the buyer \
             by hand"
        }
        "009" => {
            "the instance belongs to another seller: check that the AK/SK and the access key are of the account that \
             sells the product"
        }
        "010" => {
            "KooGallery has a record of the same instance and time from elsewhere: compare them in 交易管理 > 话单管理; \
             only the first counts"
        }
        "011" => {
            "the time range was refused: it must lie after the instance was opened, before it was closed, and in the \
             past; report what lies in between"
        }
        "012" => "the instance is not pay-per-use: report usage for the on-demand instance, not the package",
        "013" => {
            "the instance is in a state that takes no usage, mostly released or not opened yet: check it in the seller \
             console, then report again"
        }
        "WITHDRAWN" => "it was taken out by `koogate usage reject`: report its time again, with the right value",
        "0100" | "0101" | "0199" | "94060999" => {
            "KooGallery refused the record without saying why: compare it with the instance in the seller console, then \
             report again"
        }
        _ => "the code is not documented: ask KooGallery's support, then report again",
    }
}
