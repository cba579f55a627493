//! What the types of parameters do not say of themselves in the API's description: how an id looks, how many rows
//! can be asked for.
//!
//! Invariant: what does not fit what stands here is refused.

use utoipa::Number;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{KnownFormat, Object, Schema, SchemaFormat};
use utoipa::openapi::{OpenApi, RefOr};

use crate::config::ApiConfig;
use crate::idempotency::KEY_BYTES_MAX;

/// A saga's id, and so the place where a list of sagas goes on.
const SAGA_ID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$";
const TOKEN: &str = "^[a-z0-9-]{1,64}$";

/// Completes the description of every parameter.
pub(super) fn parameters(api: &mut OpenApi, config: &ApiConfig) {
    let operations = api.paths.paths.values_mut().flat_map(operations);
    let parameters = operations.flat_map(|operation| operation.parameters.iter_mut().flatten());
    for parameter in parameters {
        if let RefOr::T(Parameter {
            name,
            parameter_in,
            schema: Some(RefOr::T(Schema::Object(object))),
            ..
        }) = parameter
        {
            complete(name, parameter_in, object, config);
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn complete(name: &str, place: &ParameterIn, object: &mut Object, config: &ApiConfig) {
    let is_number = object.minimum.is_some() || object.format.is_some();
    match (name, place) {
        ("id", ParameterIn::Path) | ("cursor", _) if !is_number => object.pattern = Some(SAGA_ID.to_owned()),
        ("name", ParameterIn::Path) => object.pattern = Some(TOKEN.to_owned()),
        ("definition", ParameterIn::Query) => object.pattern = Some(TOKEN.to_owned()),
        ("idempotency-key", _) => object.pattern = Some(format!("^[!-~]{{1,{KEY_BYTES_MAX}}}$")),
        ("from" | "before", _) => object.format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)),
        ("limit", _) => {
            object.minimum = Some(Number::UInt(1));
            object.maximum = Some(Number::UInt(config.page_count_max as usize));
        }
        // All bits count, which `int32` and `int64` would deny.
        ("version", _) => unsigned(object, u32::MAX as usize),
        ("after", _) => unsigned(object, usize::MAX),
        _ => {}
    }
}

fn unsigned(object: &mut Object, max: usize) {
    object.format = None;
    object.maximum = Some(Number::UInt(max));
}
