//! The life of a V1 instance that is paid by use: frozen and back by name, without an end (spec 2-basic-v1 §6.6, §11.4).

use super::beginning::bought;
use super::{changes, queried};
use crate::simulate::call::Subject;
use crate::simulate::stage::Stage;
use crate::simulate::wording::{Charging, purchase_v1};

pub(super) fn life(stage: &mut Stage<'_>) {
    let order = stage.new_order();
    let bought = bought(stage, &order, |_, order| Some(purchase_v1(order, Charging::OnDemand)));
    let Some(id) = bought.and_then(|created| created.instance_id().map(str::to_owned)) else { return };
    let subject = Subject { id, order };
    for (what, status, recorded) in [
        ("FREEZE", "FREEZE", "frozen"),
        ("retry of FREEZE", "FREEZE", "frozen"),
        ("NORMAL", "NORMAL", "active"),
        ("retry of NORMAL", "NORMAL", "active"),
        ("FREEZE after NORMAL", "FREEZE", "frozen"),
    ] {
        let members = stage.generation().set_status(&subject, status);
        changes(stage, what, members, &subject, (recorded, None));
    }
    queried(stage, "query while frozen", &subject);
    let normal = stage.generation().set_status(&subject, "NORMAL");
    changes(stage, "NORMAL again", normal, &subject, ("active", None));
    let release = stage.generation().release(&subject);
    changes(stage, "release", release, &subject, ("released", None));
}
