//! The catcher's window: what it caught, and what it shall do.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};

use super::{Behaviour, Caught, Shelf};

pub(super) fn router(shelf: Shelf) -> Router {
    Router::new()
        .route("/mails", get(mails))
        .route("/behaviour", get(behaviour).put(behave))
        .with_state(shelf)
}

async fn mails(State(shelf): State<Shelf>) -> Json<Vec<Caught>> {
    Json(shelf.messages())
}

async fn behaviour(State(shelf): State<Shelf>) -> Json<Behaviour> {
    Json(shelf.behaviour())
}

async fn behave(
    State(shelf): State<Shelf>,
    Json(behaviour): Json<Behaviour>,
) -> Result<Json<Behaviour>, StatusCode> {
    match behaviour {
        Behaviour::RefuseRecipients { code } | Behaviour::RefuseMessages { code }
            if !(400..600).contains(&code) =>
        {
            Err(StatusCode::UNPROCESSABLE_ENTITY)
        }
        behaviour => {
            shelf.behave(behaviour);
            Ok(Json(behaviour))
        }
    }
}
