//! Pools: each distinct value is kept once and known by a number, so that a state of the model is a
//! handful of numbers.
//!
//! Invariant: equal values have equal numbers for as long as the pool lives, whichever thread came first.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::{Arc, RwLock},
};

/// Values and their numbers.
#[derive(Debug)]
pub(crate) struct Pool<T>(RwLock<Values<T>>);

#[derive(Debug)]
struct Values<T> {
    ids: HashMap<String, u32>,
    values: Vec<Arc<T>>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(RwLock::new(Values { ids: HashMap::new(), values: Vec::new() }))
    }
}

impl<T> Pool<T> {
    /// The number of the value that is written `key`.
    pub(crate) fn id(&self, key: String, value: impl FnOnce() -> T) -> u32 {
        if let Some(id) = self.0.read().unwrap().ids.get(&key) {
            return *id;
        }
        let Values { ids, values } = &mut *self.0.write().unwrap();
        *ids.entry(key).or_insert_with(|| {
            values.push(Arc::new(value()));
            u32::try_from(values.len() - 1).unwrap()
        })
    }

    /// The value with that number.
    pub(crate) fn get(&self, id: u32) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap().values[id as usize])
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap().values.len()
    }
}

/// Results of a pure function, each computed once.
#[derive(Debug)]
pub(crate) struct Memo<K, V>(RwLock<HashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Memo<K, V> {
    /// The result for `key`.
    pub(crate) fn get(&self, key: K, compute: impl FnOnce() -> V) -> V {
        if let Some(value) = self.0.read().unwrap().get(&key) {
            return value.clone();
        }
        let value = compute();
        self.0.write().unwrap().entry(key).or_insert(value).clone()
    }
}
