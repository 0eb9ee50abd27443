//! How many nodes stand in which region, as it is written on the command line.
//!
//! It starts none of them.

use std::str::FromStr;

use marketplace::Region;

/// Nodes at most: each has tasks and memory of its own, and all share this one process.
const MOST_NODES: usize = 64;

/// Regions in the order given, each with its number of nodes.
///
/// ```
/// let plan: edge_node::cli::FleetPlan = "us-east=5,europe=1".parse()?;
/// assert_eq!(plan.total(), 6);
/// assert!("us-east=0".parse::<edge_node::cli::FleetPlan>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetPlan(Vec<(Region, usize)>);

impl FleetPlan {
    /// Each region once, with one node at least.
    #[must_use]
    pub fn regions(&self) -> &[(Region, usize)] {
        &self.0
    }

    /// All nodes together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, nodes)| nodes).sum()
    }
}

impl FromStr for FleetPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut plan = Self(Vec::new());
        for (number, part) in (1..).zip(text.split(',')) {
            // The part is not repeated: what was given by mistake may hold a password.
            let expected = || format!("part {number} is no REGION=NODES, as in us-east=5");
            let (region, nodes) = part.split_once('=').ok_or_else(expected)?;
            let region = Region::new(region.trim()).map_err(|error| error.to_string())?;
            let nodes: usize = nodes.trim().parse().map_err(|_| expected())?;
            if nodes == 0 {
                return Err(format!("region {region} needs at least one node"));
            }
            if plan.0.iter().any(|(other, _)| *other == region) {
                return Err(format!("region {region} is given twice"));
            }
            plan.0.push((region, nodes));
        }
        if plan.0.iter().any(|(_, nodes)| *nodes > MOST_NODES) || plan.total() > MOST_NODES {
            return Err(format!("at most {MOST_NODES} nodes fit into one process"));
        }
        Ok(plan)
    }
}
