//! Which step comes after which: `after` as a graph.
//!
//! Without `after`, a step follows the one above it in its list.
//!
//! Invariant: a mistake in one `after` is told once, and does not make the rules that rest on the graph
//! accuse other steps.

use crate::Rule;
use crate::draft::{At, StepDraft};
use crate::report::Report;
use crate::suggest::nearest;

/// The order of the steps of one list.
#[derive(Debug)]
pub(crate) struct Graph {
    /// The steps right before each step, as positions.
    after: Vec<Vec<usize>>,
    /// For each step, which steps come before it, at any distance; `None` if there is a ring.
    before: Option<Vec<Vec<bool>>>,
}

impl Graph {
    /// Reads the `after` of a list of steps; `others` are those of the other list, for messages.
    pub(crate) fn read(report: &mut Report, steps: &[StepDraft], others: &[StepDraft]) -> Self {
        let after: Vec<Vec<usize>> =
            (0..steps.len()).map(|position| resolve(report, steps, others, position)).collect();
        let rings = rings(&after);
        for ring in &rings {
            report_ring(report, steps, ring);
        }
        let before = rings.is_empty().then(|| closure(&after));
        Self { after, before }
    }

    /// The steps right before a step.
    pub(crate) fn after(&self, position: usize) -> &[usize] {
        &self.after[position]
    }

    /// Whether the order is known: there is no ring.
    pub(crate) const fn is_known(&self) -> bool {
        self.before.is_some()
    }

    /// Whether `first` comes before `second`; false for all when there is a ring.
    pub(crate) fn is_before(&self, first: usize, second: usize) -> bool {
        self.before.as_ref().is_some_and(|before| before[second][first])
    }
}

fn above(position: usize) -> Vec<usize> {
    position.checked_sub(1).into_iter().collect()
}

fn resolve(report: &mut Report, steps: &[StepDraft], others: &[StepDraft], position: usize) -> Vec<usize> {
    let Some(after) = &steps[position].after else { return above(position) };
    let mut resolved = Vec::new();
    for name in &after.value {
        match find(report, steps, others, name, position) {
            Some(before) if before == position => {
                let message = format!("`{}` waits for itself", name.value);
                report.add(name.span.clone(), Rule::After, message, "name the steps that come right before");
            }
            Some(before) if resolved.contains(&before) => {
                let message = format!("`{}` stands twice in `after`", name.value);
                report.add(name.span.clone(), Rule::After, message, "remove one of the two");
            }
            Some(before) => resolved.push(before),
            // Most likely the step above was meant: rather that than a step that comes first.
            None => {
                if let Some(above) = position.checked_sub(1).filter(|above| !resolved.contains(above)) {
                    resolved.push(above);
                }
            }
        }
    }
    resolved
}

/// The position of the step that is meant; one that is only nearly right is reported, and taken.
fn find(
    report: &mut Report,
    steps: &[StepDraft],
    others: &[StepDraft],
    name: &At<String>,
    own: usize,
) -> Option<usize> {
    let position = |list: &[StepDraft], name: &str| {
        list.iter().position(|step| step.name().is_some_and(|known| known.as_str() == name))
    };
    if let Some(found) = position(steps, &name.value) {
        return Some(found);
    }
    let shown: String = name.value.chars().take(80).collect();
    if position(others, &name.value).is_some() {
        let message = format!("`{shown}` stands in the other list: `steps` and `on_compensated` never mix");
        report.add(name.span.clone(), Rule::After, message, "name steps of the same list");
        return None;
    }
    let rest = steps.iter().enumerate().filter(|(position, _)| *position != own);
    let known: Vec<&str> = rest.filter_map(|(_, step)| Some(step.name()?.as_str())).collect();
    let near = nearest(&name.value, known.iter().copied());
    let remedy = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it: there is no other step".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    report.add(name.span.clone(), Rule::UnknownName, format!("there is no step `{shown}`"), remedy);
    near.and_then(|near| position(steps, near))
}

/// Most rings that are told of one list: who breaks these sees the rest.
const RINGS_MAX: usize = 8;

/// Most links of a ring that a message shows.
const LINKS_MAX: usize = 8;

/// Rings, each as the positions of its steps, every one right after the one behind it.
fn rings(after: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnTheWay,
        Done,
    }
    let mut seen = vec![Seen::No; after.len()];
    let mut rings = Vec::new();
    for start in 0..after.len() {
        // The way down to the current step; with each step, how many of its `after` were looked at.
        let mut way: Vec<(usize, usize)> = Vec::new();
        if seen[start] == Seen::No {
            seen[start] = Seen::OnTheWay;
            way.push((start, 0));
        }
        while let Some((step, looked)) = way.last_mut() {
            let Some(before) = after[*step].get(*looked).copied() else {
                seen[*step] = Seen::Done;
                way.pop();
                continue;
            };
            *looked += 1;
            match seen[before] {
                Seen::Done => {}
                Seen::No => {
                    seen[before] = Seen::OnTheWay;
                    way.push((before, 0));
                }
                Seen::OnTheWay if rings.len() == RINGS_MAX => {}
                Seen::OnTheWay => {
                    let ring = way.iter().map(|(step, _)| *step).skip_while(|step| *step != before);
                    rings.push(ring.collect());
                }
            }
        }
    }
    rings
}

/// Points at the name that leads forward in the file: in every ring there is one, and it is written down,
/// for a step without `after` follows one above it.
fn report_ring(report: &mut Report, steps: &[StepDraft], ring: &[usize]) {
    let next = |at: usize| ring[(at + 1) % ring.len()];
    let Some(start) = (0..ring.len()).find(|at| next(*at) > ring[*at]) else { return };
    let (step, before) = (ring[start], next(start));
    let Some(after) = &steps[step].after else { return };
    let named =
        |name: &&At<String>| Some(name.value.as_str()) == steps[before].name().map(|name| name.as_str());
    let span = after.value.iter().find(named).map_or(&after.span, |name| &name.span);
    let links = (0..ring.len().min(LINKS_MAX)).map(|at| {
        let link = (start + at) % ring.len();
        let (step, before) = (&steps[ring[link]], steps[next(link)].called());
        let why = if step.after.is_none() { " (the step above)" } else { "" };
        format!("`{}` after `{before}`{why}", step.called())
    });
    let links = links.collect::<Vec<_>>().join(", ");
    let rest = if ring.len() > LINKS_MAX { ", and so on" } else { "" };
    let message = format!("these steps wait for one another: {links}{rest}");
    let (step, before) = (steps[step].called(), steps[before].called());
    let remedy = format!("take `{before}` out of the `after` of `{step}`, or break the ring at another step");
    report.add(span.clone(), Rule::After, message, remedy);
}

/// All steps before each step. There is no ring.
fn closure(after: &[Vec<usize>]) -> Vec<Vec<bool>> {
    (0..after.len())
        .map(|step| {
            let mut before = vec![false; after.len()];
            let mut open: Vec<usize> = after[step].clone();
            while let Some(next) = open.pop() {
                if !before[next] {
                    before[next] = true;
                    open.extend(&after[next]);
                }
            }
            before
        })
        .collect()
}
