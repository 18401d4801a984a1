//! Which models may answer, in the order in which they are asked.

use std::sync::Arc;

use hone_domain::{Ids, ModelRoute};

use crate::breaker::Breaker;
use crate::provider::Provider;

/// A model that may answer.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub provider: Arc<Provider>,
    /// The model as the provider names it.
    pub model: String,
    pub breaker: Arc<Breaker>,
}

impl Candidate {
    /// `provider/model`.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.provider.name, self.model)
    }
}

/// A task's models in the order in which this request asks them: by order, and among equals drawn by weight. A model of
/// weight 0 is a fallback only.
pub(crate) fn in_order_of_asking<'a>(routes: &'a [ModelRoute], ids: &Ids) -> Vec<&'a ModelRoute> {
    let mut left: Vec<&ModelRoute> = routes.iter().collect();
    left.sort_by_key(|route| route.order);
    let mut asked = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let equals = left.iter().take_while(|route| route.order == first.order).count();
        let chosen = if equals == 1 {
            0
        } else {
            draw_by_weight(&left[..equals], uniform(ids))
        };
        asked.push(left.remove(chosen));
    }
    asked
}

/// The position that a uniform draw from [0, 1) falls on, each as wide as its weight.
fn draw_by_weight(routes: &[&ModelRoute], draw: f64) -> usize {
    let total: f64 = routes.iter().map(|route| route.weight).sum();
    let mut left = draw * total;
    for (position, route) in routes.iter().enumerate() {
        if left < route.weight {
            return position;
        }
        left -= route.weight;
    }
    0
}

/// A number drawn uniformly from [0, 1).
pub(crate) fn uniform(ids: &Ids) -> f64 {
    let mut random = [0; 8];
    ids.fill(&mut random);
    (u64::from_le_bytes(random) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use hone_domain::{ManualClock, SeededEntropy};

    fn route(model: &str, order: u32, weight: f64) -> ModelRoute {
        ModelRoute {
            model: model.to_owned(),
            order,
            weight,
        }
    }

    #[test]
    fn order_goes_first_and_weight_shares() {
        let ids = Ids::new(Arc::new(ManualClock::at(0)), Arc::new(SeededEntropy::new(7)));
        let routes = [
            route("p/fallback", 1, 1.0),
            route("p/a", 0, 3.0),
            route("p/b", 0, 1.0),
            route("p/never-first", 0, 0.0),
        ];
        let mut first_a = 0;
        for _ in 0..1_000 {
            let asked = in_order_of_asking(&routes, &ids);
            assert_eq!(asked.len(), 4);
            assert_eq!(asked[3].model, "p/fallback");
            assert_ne!(asked[0].model, "p/never-first");
            first_a += usize::from(asked[0].model == "p/a");
        }
        assert!((700..800).contains(&first_a), "{first_a}");
    }
}
