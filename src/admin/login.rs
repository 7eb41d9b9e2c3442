//! `/api/v1/login`: the application renews or ends a login session.

use super::call::Call;
use super::reply::Problem;
use crate::http::Reply;
use crate::login::Asked;

/// `POST /api/v1/login/{sid}/refresh`
pub(super) fn refresh(call: &Call<'_>) -> Result<Reply, Problem> {
    answer(call, Asked::Refresh)
}

/// `POST /api/v1/login/{sid}/end`
pub(super) fn end(call: &Call<'_>) -> Result<Reply, Problem> {
    answer(call, Asked::End)
}

fn answer(call: &Call<'_>, asked: Asked) -> Result<Reply, Problem> {
    let none = || Problem::not_found("there is no [login] section in the configuration");
    let login = call.context.login.as_ref().ok_or_else(none)?;
    Ok(login.answer_application(call.path("sid"), asked, call.request))
}
