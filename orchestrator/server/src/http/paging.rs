//! Where a list goes on, and how much of it is answered at once.

use amends_service::Problem;

use crate::config::ApiConfig;

/// How many rows: what was asked for, if it is allowed.
pub(super) fn limit(asked: Option<u32>, config: &ApiConfig) -> Result<u32, Problem> {
    let max = config.page_count_max;
    match asked {
        None => Ok(config.page_count.min(max)),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => Err(wrong("limit", &format!("1 to {max} rows can be asked for"))),
    }
}

/// A parameter of the query that cannot be used.
pub(super) fn wrong(parameter: &str, why: &str) -> Problem {
    Problem::bad_request("invalid-query", "the query has a parameter that cannot be used here")
        .with_error(format!("?{parameter}"), why)
}

/// Reads a parameter that may be left out.
pub(super) fn parse<T>(parameter: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.map(|text| text.parse().map_err(|error: T::Err| wrong(parameter, &error.to_string()))).transpose()
}

/// Reads a parameter with several values, separated by commas.
pub(super) fn parse_list<T>(parameter: &str, text: Option<&str>) -> Result<Vec<T>, Problem>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let Some(text) = text else { return Ok(Vec::new()) };
    let read = |text: &str| text.parse().map_err(|error: T::Err| wrong(parameter, &error.to_string()));
    text.split(',').map(read).collect()
}
