//! Our own functions: `sum(list)` and `money(amount, currency)`.
//!
//! Money is what the participants take: whole minor units and an ISO 4217 code, `{"amount": 350,
//! "currency": "EUR"}`. Numbers with a fraction are not money: sums of them depend on the order.
//!
//! Invariant: what cannot be added exactly is refused, never rounded.

use cel::common::types::{CelDouble, CelInt, CelMap, CelString, DYN_TYPE, LIST_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env};

use super::error::{ExpressionErrorKind as ErrorKind, Failure};
use super::guard::{Arguments, Outcome, bounded, len};
use super::output::text;

pub(super) const SUM: &str = "sum";
pub(super) const MONEY: &str = "money";

const AMOUNT: &str = "amount";
const CURRENCY: &str = "currency";

pub(super) fn declare(environment: &mut Env) -> Result<(), DeclarationError> {
    environment
        .add_overload(SUM, "sum_list", vec![LIST_TYPE], sum)
        .and_then(|()| environment.add_overload(MONEY, "money_of", vec![DYN_TYPE, DYN_TYPE], money))
}

/// `money(350, 'EUR')`
fn money<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let made = match arguments.as_slice() {
        [amount, currency] => match (int(amount.as_ref()), text(currency.as_ref())) {
            (Some(amount), Some(currency)) => made(amount, currency),
            _ => {
                let types = [amount.get_type().name(), currency.get_type().name()];
                Err(Failure::wrong_type(MONEY, &types))
            }
        },
        _ => Err(Failure::wrong_type(MONEY, &[])),
    };
    made.map_err(Failure::into_execution)
}

fn made<'b, 'v>(amount: i64, currency: &str) -> Result<CowVal<'b, 'v>, Failure> {
    is_currency(currency)?;
    let amount: Box<dyn Val + 'v> = Box::new(CelInt::from(amount));
    let currency: Box<dyn Val + 'v> = Box::new(CelString::from(currency.to_owned()));
    // The interpreter's own kind of map; how it orders its keys is never seen.
    let mut fields = CelMap::default().into_inner();
    fields.insert(AMOUNT.into(), amount);
    fields.insert(CURRENCY.into(), currency);
    Ok(CowVal::owned(CelMap::from(fields)))
}

fn is_currency(text: &str) -> Result<(), Failure> {
    if text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Failure::new(ErrorKind::Conversion, "a currency is three letters A-Z (ISO 4217)"))
}

/// What a list has been summed up to.
enum Sum {
    Nothing,
    Int(i64),
    Double(f64),
    Money(i64, String),
}

/// The sum of whole numbers, of numbers with a fraction, or of money of one currency. Of an empty list: 0.
fn sum<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let sum = arguments.first().map_or(Ok(Sum::Nothing), |list| sum_of(list.as_ref()));
    let sum = sum.and_then(|sum| match sum {
        Sum::Nothing => Ok(CowVal::owned(CelInt::from(0))),
        Sum::Int(sum) => Ok(CowVal::owned(CelInt::from(sum))),
        Sum::Double(sum) => Ok(CowVal::owned(CelDouble::from(sum))),
        Sum::Money(amount, currency) => made(amount, &currency),
    });
    sum.map_err(Failure::into_execution)
}

fn sum_of(list: &dyn Val) -> Result<Sum, Failure> {
    bounded(len(list))?;
    let Some(iterable) = list.as_iterable() else { return Ok(Sum::Nothing) };
    let mut items = iterable.iter();
    let mut sum = Sum::Nothing;
    while let Some(item) = items.next() {
        sum = plus(sum, summand(item)?)?;
    }
    Ok(sum)
}

fn summand(item: &dyn Val) -> Result<Sum, Failure> {
    if let Some(value) = int(item) {
        return Ok(Sum::Int(value));
    }
    if let Some(value) = item.downcast_ref::<CelDouble>() {
        return Ok(Sum::Double(*value.inner()));
    }
    let field = |name: &str| item.as_indexer()?.get(&CelString::from(name)).ok();
    let amount = field(AMOUNT).and_then(|amount| int(amount.as_ref()));
    let currency = field(CURRENCY);
    match (amount, currency.as_ref().and_then(|currency| text(currency.as_ref()))) {
        (Some(amount), Some(currency)) => {
            // Before it is copied: a text may be long, and this is not counted.
            is_currency(currency)?;
            Ok(Sum::Money(amount, currency.to_owned()))
        }
        _ => Err(Failure::wrong_type(SUM, &[item.get_type().name()])),
    }
}

fn plus(sum: Sum, summand: Sum) -> Result<Sum, Failure> {
    let overflow = || Failure::new(ErrorKind::Overflow, "the result of `sum` does not fit 64 bits");
    match (sum, summand) {
        (Sum::Nothing, first) => Ok(first),
        (Sum::Int(a), Sum::Int(b)) => a.checked_add(b).map(Sum::Int).ok_or_else(overflow),
        (Sum::Double(a), Sum::Double(b)) => Ok(Sum::Double(a + b)),
        (Sum::Money(a, of), Sum::Money(b, other)) if of == other => {
            a.checked_add(b).map(|sum| Sum::Money(sum, of)).ok_or_else(overflow)
        }
        (Sum::Money(..), Sum::Money(..)) => {
            Err(Failure::new(ErrorKind::WrongType, "`sum` does not apply to money of several currencies"))
        }
        (a, b) => Err(Failure::wrong_type(SUM, &[a.name(), b.name()])),
    }
}

impl Sum {
    const fn name(&self) -> &'static str {
        match self {
            Self::Nothing | Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Money(..) => "money",
        }
    }
}

fn int(val: &dyn Val) -> Option<i64> {
    val.downcast_ref::<CelInt>().map(|value| *value.inner())
}
