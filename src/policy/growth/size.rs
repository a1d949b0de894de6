//! How many parts a value may have, counted as a tree, as far as the text of a policy tells: what comes from the input or
//! from data counts as one.

/// Entries that a comprehension, or a set rule that goes through something, is taken to have.
pub(super) const ENTRIES: f64 = 100.0;

/// A number of parts that depends on those of a function's arguments: `own + Σ times[i] · argument[i]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parts {
    pub(super) own: f64,
    pub(super) times: Vec<f64>,
}

impl Parts {
    /// As many.
    pub(super) fn of(own: f64) -> Self {
        Self { own, times: Vec::new() }
    }

    /// Those of an argument.
    pub(super) fn of_argument(number: usize) -> Self {
        let mut times = vec![0.0; number];
        times.push(1.0);
        Self { own: 0.0, times }
    }

    /// Whether they depend on no argument.
    pub(super) fn is_known(&self) -> bool {
        self.times.iter().all(|times| *times == 0.0)
    }

    fn join(&self, other: &Self, with: impl Fn(f64, f64) -> f64) -> Self {
        let at = |parts: &Self, number: usize| parts.times.get(number).copied().unwrap_or(0.0);
        let longest = self.times.len().max(other.times.len());
        let times = (0..longest).map(|number| with(at(self, number), at(other, number))).collect();
        Self { own: with(self.own, other.own), times }
    }

    /// Both together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.join(other, |one, other| one + other)
    }

    /// No fewer than either.
    pub(super) fn or(&self, other: &Self) -> Self {
        self.join(other, f64::max)
    }

    /// So many times.
    pub(super) fn times(&self, factor: f64) -> Self {
        Self { own: self.own * factor, times: self.times.iter().map(|times| times * factor).collect() }
    }

    /// With the arguments of a call put in.
    pub(super) fn with(&self, arguments: &[Size]) -> Self {
        let one = Parts::of(1.0);
        self.times.iter().enumerate().filter(|(_, times)| **times > 0.0).fold(Self::of(self.own), |sum, (at, times)| {
            let argument = arguments.get(at).map_or(&one, |argument| &argument.whole);
            sum.plus(&argument.times(*times))
        })
    }
}

/// The size of a value, and of the largest thing that it holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) whole: Parts,
    pub(super) entry: Parts,
}

impl Size {
    /// Of a text, a number, a part of the input.
    pub(super) fn one() -> Self {
        Self { whole: Parts::of(1.0), entry: Parts::of(1.0) }
    }

    /// Of an argument.
    pub(super) fn of_argument(number: usize) -> Self {
        Self { whole: Parts::of_argument(number), entry: Parts::of_argument(number) }
    }

    /// Of a collection of these.
    pub(super) fn of_all(items: impl Iterator<Item = Size>) -> Self {
        let nothing = Self { whole: Parts::of(1.0), entry: Parts::of(0.0) };
        items.fold(nothing, |all, item| Self { whole: all.whole.plus(&item.whole), entry: all.entry.or(&item.whole) })
    }

    /// Of a collection of so many such entries.
    pub(super) fn of_many(count: f64, entry: &Parts) -> Self {
        Self { whole: Parts::of(1.0).plus(&entry.times(count)), entry: entry.clone() }
    }

    /// Of something that holds this value.
    pub(super) fn held(&self) -> Self {
        Self { whole: self.whole.clone(), entry: self.whole.clone() }
    }

    /// Of what the value holds.
    pub(super) fn inside(&self) -> Self {
        Self { whole: self.entry.clone(), entry: self.entry.clone() }
    }

    /// No smaller than either.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self { whole: self.whole.or(&other.whole), entry: self.entry.or(&other.entry) }
    }

    /// Of what is made of both: a union.
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self { whole: self.whole.plus(&other.whole), entry: self.entry.or(&other.entry) }
    }

    /// With the arguments of a call put in.
    pub(super) fn with(&self, arguments: &[Size]) -> Self {
        Self { whole: self.whole.with(arguments), entry: self.entry.with(arguments) }
    }
}
