//! Guards: the operations whose cost grows with the data, or whose result would depend on the order of a
//! map, as functions of our own. [`guard`] puts them into a parsed expression.
//!
//! Invariant: after guarding, the interpreter itself never goes through a list that was not measured,
//! never through a map, and makes no text that was not counted.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::common::types::{CelBool, CelList, DYN_TYPE, Kind};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

use super::error::{ExpressionErrorKind as ErrorKind, Failure};
use super::evaluate::Cost;
use super::money;
use super::output::{same, text};
use crate::limits::LIST_LEN_MAX;

/// The variable that holds the [`Cost`]. No expression can write it: `@` is no letter of CEL.
pub(super) const COST: &str = "@cost";

const ADD: &str = "@add";
const EQUAL: &str = "@equal";
const DIFFERENT: &str = "@different";
const CONTAINED: &str = "@contained";
const LIST: &str = "@list";
const MEASURED: &str = "@measured";

/// What the parser calls the operators, apart from those of the optional syntax, which is switched off.
pub(super) const OPERATORS: [&str; 19] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
];

pub(super) type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
pub(super) type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Adds the guards' functions, and our own for everybody.
pub(super) fn declare(environment: &mut Env) {
    let any = |count| (0..count).map(|_| DYN_TYPE).collect();
    let declared = environment
        .add_overload(ADD, ADD, any(3), add)
        .and_then(|()| environment.add_overload(EQUAL, EQUAL, any(3), equal))
        .and_then(|()| environment.add_overload(DIFFERENT, DIFFERENT, any(3), different))
        .and_then(|()| environment.add_overload(CONTAINED, CONTAINED, any(3), contained))
        .and_then(|()| environment.add_overload(LIST, LIST, any(2), list))
        .and_then(|()| environment.add_overload(MEASURED, MEASURED, any(2), measured))
        .and_then(|()| money::declare(environment));
    declared.unwrap_or_else(|_| unreachable!("the standard functions have other names"));
}

/// Puts the guards into an expression. The depth is bounded by the checks that came before.
pub(super) fn guard(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => guard_call(call),
        Expr::Comprehension(comprehension) => {
            for part in [
                &mut comprehension.iter_range,
                &mut comprehension.accu_init,
                &mut comprehension.loop_cond,
                &mut comprehension.loop_step,
                &mut comprehension.result,
            ] {
                guard(part);
            }
            wrap(&mut comprehension.iter_range, LIST);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(guard),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    guard(&mut entry.key);
                    guard(&mut entry.value);
                }
            }
        }
        Expr::Select(select) => guard(&mut select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

fn guard_call(call: &mut CallExpr) {
    call.target.iter_mut().for_each(|target| guard(target));
    call.args.iter_mut().for_each(guard);
    let function = match call.func_name.as_str() {
        // The macros' own scaffolding: the interpreter appends in place when it sees its shape.
        _ if call.args.first().is_some_and(is_accumulator) => return,
        operators::ADD => ADD,
        operators::EQUALS => EQUAL,
        operators::NOT_EQUALS => DIFFERENT,
        operators::IN => CONTAINED,
        name if OPERATORS.contains(&name) => return,
        _ => {
            let first = call.target.as_deref_mut().or(call.args.first_mut());
            first.into_iter().for_each(|argument| wrap(argument, MEASURED));
            return;
        }
    };
    function.clone_into(&mut call.func_name);
    call.args.push(cost_variable());
}

fn is_accumulator(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name.starts_with('@'))
}

fn wrap(expression: &mut IdedExpr, function: &str) {
    let id = expression.id;
    let inner = std::mem::take(expression);
    let call = CallExpr { func_name: function.to_owned(), target: None, args: vec![inner, cost_variable()] };
    *expression = IdedExpr { id, expr: Expr::Call(call) };
}

fn cost_variable() -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Ident(COST.to_owned()) }
}

/// The operands without the cost, which is the last argument.
fn operands<'b, 'v, const N: usize>(
    mut arguments: Arguments<'b, 'v>,
) -> Result<([CowVal<'b, 'v>; N], Cost), Failure> {
    let cost = arguments.pop().and_then(|cost| cost.downcast_ref::<Cost>().cloned());
    match (cost, <[CowVal<'b, 'v>; N]>::try_from(arguments)) {
        (Some(cost), Ok(operands)) => Ok((operands, cost)),
        _ => Err(Failure::new(ErrorKind::WrongType, "a guard got other arguments than it takes")),
    }
}

fn add<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let ([a, b], cost) = operands(arguments).map_err(Failure::into_execution)?;
    match (kind(&a), kind(&b)) {
        (Kind::List, Kind::List) => concatenate(&a, &b, &cost).map_err(Failure::into_execution),
        (Kind::String, Kind::String) => {
            let size = |val: &CowVal<'_, '_>| text(val.as_ref()).map_or(0, str::len);
            cost.spend(size(&a) + size(&b)).map_err(Failure::into_execution)?;
            plus(&a, &b)
        }
        _ => plus(&a, &b),
    }
}

fn plus<'b, 'v>(a: &CowVal<'_, 'v>, b: &CowVal<'_, 'v>) -> Outcome<'b, 'v> {
    let types = [a.get_type().name(), b.get_type().name()];
    let wrong_type = || Failure::wrong_type("+", &types).into_execution();
    let sum = a.as_adder().ok_or_else(wrong_type)?.add(b.as_ref());
    match sum {
        Ok(sum) => Ok(CowVal::Owned(sum.into_owned())),
        Err(ExecutionError::UnsupportedBinaryOperator(..)) => Err(wrong_type()),
        Err(error) => Err(error),
    }
}

fn concatenate<'b, 'v>(
    a: &CowVal<'_, 'v>,
    b: &CowVal<'_, 'v>,
    cost: &Cost,
) -> Result<CowVal<'b, 'v>, Failure> {
    let len = len(a.as_ref()) + len(b.as_ref());
    bounded(len)?;
    cost.spend(len)?;
    let mut joined: Vec<Box<dyn Val + 'v>> = Vec::with_capacity(len);
    for part in [a, b] {
        let Some(iterable) = part.as_iterable() else { continue };
        let mut items = iterable.iter();
        while let Some(item) = items.next() {
            joined.push(item.clone_as_boxed());
        }
    }
    Ok(CowVal::owned(CelList::from(joined)))
}

fn equal<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    compare(arguments, true).map_err(Failure::into_execution)
}

fn different<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    compare(arguments, false).map_err(Failure::into_execution)
}

fn compare<'b, 'v>(arguments: Arguments<'b, 'v>, wanted: bool) -> Result<CowVal<'b, 'v>, Failure> {
    let ([a, b], cost) = operands(arguments)?;
    let same = same(a.as_ref(), b.as_ref(), &cost)?;
    Ok(CowVal::owned(CelBool::from(same == wanted)))
}

fn contained<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let ([item, container], cost) = operands(arguments).map_err(Failure::into_execution)?;
    let found = match kind(&container) {
        Kind::List => contained_in_list(&item, &container, &cost).map_err(Failure::into_execution)?,
        _ => {
            let wrong_type = || {
                let types = [item.get_type().name(), container.get_type().name()];
                Failure::wrong_type("in", &types).into_execution()
            };
            let map = container.as_container().ok_or_else(wrong_type)?;
            text(item.as_ref()).ok_or_else(wrong_type)?;
            map.contains(item.as_ref())?
        }
    };
    Ok(CowVal::owned(CelBool::from(found)))
}

fn contained_in_list(item: &CowVal<'_, '_>, list: &CowVal<'_, '_>, cost: &Cost) -> Result<bool, Failure> {
    bounded(len(list.as_ref()))?;
    let Some(iterable) = list.as_iterable() else { return Ok(false) };
    let mut items = iterable.iter();
    while let Some(other) = items.next() {
        if same(item.as_ref(), other, cost)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A list that a macro is about to go through.
fn list<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let checked = || {
        let ([list], cost) = operands(arguments)?;
        if kind(&list) != Kind::List {
            let message =
                format!("only lists are gone through, and this is of type {}", list.get_type().name());
            return Err(Failure::new(ErrorKind::WrongType, message));
        }
        let len = len(list.as_ref());
        bounded(len)?;
        cost.spend(len)?;
        Ok(list)
    };
    checked().map_err(Failure::into_execution)
}

/// The first argument of any other function: what is long costs more.
fn measured<'b, 'v>(arguments: Arguments<'b, 'v>) -> Outcome<'b, 'v> {
    let checked = || {
        let ([val], cost) = operands(arguments)?;
        cost.spend(text(val.as_ref()).map_or_else(|| len(val.as_ref()), str::len))?;
        Ok(val)
    };
    checked().map_err(Failure::into_execution)
}

fn kind(val: &CowVal<'_, '_>) -> Kind {
    val.get_type().kind()
}

pub(super) fn len(val: &dyn Val) -> usize {
    val.as_sizer().map_or(0, |sizer| usize::try_from(*sizer.size().inner()).unwrap_or(usize::MAX))
}

pub(super) fn bounded(len: usize) -> Result<(), Failure> {
    if len <= LIST_LEN_MAX {
        return Ok(());
    }
    let message = format!("the list has {len} elements; expressions go through at most {LIST_LEN_MAX}");
    Err(Failure::new(ErrorKind::ListTooLong, message))
}
