//! Ranks: which shards each run takes if several runs share a corpus.

use crate::hinted_error::HintedError;

/// Most runs that share a corpus.
const MOST: usize = 1 << 20;

/// One of several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    /// The environment variables that it came from; none if it was given as arguments.
    pub(crate) from: Option<&'static str>,
}

/// The rank from the arguments, else from a scheduler: SLURM job arrays, Kubernetes indexed jobs, or launchers such as
/// torchrun, in this order.
pub(crate) fn resolve(
    rank: Option<usize>,
    world_size: Option<usize>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Rank> {
    let number = |name: &str| environment(name).and_then(|text| text.trim().parse::<usize>().ok());
    let scheduled = || -> Option<(usize, Option<usize>, &'static str)> {
        if let Some(task) = number("SLURM_ARRAY_TASK_ID") {
            let first = number("SLURM_ARRAY_TASK_MIN").unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP").unwrap_or(1).max(1);
            let rank = task.checked_sub(first)? / step;
            let count = number("SLURM_ARRAY_TASK_COUNT");
            return Some((rank, count, "SLURM_ARRAY_TASK_ID and _COUNT"));
        }
        if let Some(index) = number("JOB_COMPLETION_INDEX") {
            return Some((index, None, "JOB_COMPLETION_INDEX"));
        }
        let (rank, size) = (number("RANK")?, number("WORLD_SIZE")?);
        Some((rank, Some(size), "RANK and WORLD_SIZE"))
    };
    let (rank, world_size, from) = match (rank, world_size) {
        (Some(rank), Some(world_size)) => (rank, world_size, None),
        (Some(rank), None) => {
            return Err(HintedError::error(
                format!("--rank {rank}: expected --world-size with it, got none"),
                "give the number of runs that share the corpus with --world-size",
            ));
        }
        (None, Some(1)) => (0, 1, None),
        (None, given) => match (scheduled(), given) {
            (Some((rank, count, from)), _) => match given.or(count) {
                Some(world_size) => (rank, world_size, Some(from)),
                None => {
                    return Err(HintedError::error(
                        format!("{from} is {rank}: expected --world-size with it, got none"),
                        "give the number of runs that share the corpus, the completions of the job, with --world-size; \
                         --world-size 1 takes the whole corpus",
                    ));
                }
            },
            (None, None) => (0, 1, None),
            (None, Some(world_size)) => {
                return Err(HintedError::error(
                    format!("--world-size {world_size}: expected --rank with it, got none"),
                    "give the rank of this run, counted from 0, with --rank",
                ));
            }
        },
    };
    if world_size > MOST {
        return Err(HintedError::error(
            format!("--world-size: expected at most {MOST}, got {world_size}"),
            "name the number of runs that share the corpus",
        ));
    }
    if rank >= world_size {
        return Err(HintedError::error(
            format!("--rank: expected a number below --world-size {world_size}, got {rank}"),
            "count the ranks from 0",
        ));
    }
    Ok(Rank {
        rank,
        world_size,
        from,
    })
}

/// Assigns whole shards (size and name) to ranks: the largest first, each to the rank with the least work so far.
/// Returns the indices of the shards of one rank, in corpus order. Every shard has a rank, and all ranks compute the
/// same result.
pub(crate) fn share(shards: &[(u64, &str)], rank: usize, world_size: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..shards.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(shards[i].0), shards[i].1));
    let mut loads = vec![0u64; world_size];
    let mut mine = Vec::new();
    for i in order {
        let least = (0..world_size).min_by_key(|&r| loads[r]).unwrap_or(0);
        // An empty shard is work too: a file to create.
        loads[least] += shards[i].0 + 1;
        if least == rank {
            mine.push(i);
        }
    }
    mine.sort_unstable();
    mine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(
        rank: Option<usize>,
        world_size: Option<usize>,
        environment: &[(&str, &str)],
    ) -> Result<(usize, usize), String> {
        let get = |name: &str| {
            let found = environment.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        resolve(rank, world_size, &get)
            .map(|r| (r.rank, r.world_size))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn schedulers_say_who_we_are() {
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
            ("SLURM_ARRAY_TASK_COUNT", "5"),
            ("RANK", "9"),
            ("WORLD_SIZE", "10"),
        ];
        assert_eq!(with(None, None, &slurm), Ok((3, 5)));
        assert_eq!(with(Some(1), Some(2), &slurm), Ok((1, 2)));
        assert_eq!(with(None, None, &slurm[4..]), Ok((9, 10)));
        assert_eq!(with(None, Some(1), &slurm), Ok((0, 1)));
        assert_eq!(with(None, None, &[]), Ok((0, 1)));
        let kubernetes = [("JOB_COMPLETION_INDEX", "2")];
        assert_eq!(with(None, Some(3), &kubernetes), Ok((2, 3)));
        for (rank, world_size, environment) in [
            (None, None, &kubernetes[..]),
            (Some(0), None, &[]),
            (None, Some(2), &[]),
            (Some(2), Some(2), &[]),
        ] {
            assert!(with(rank, world_size, environment).is_err());
        }
    }

    #[test]
    fn every_shard_is_of_one_rank() {
        let shards = [
            (5, "e"),
            (90, "a"),
            (50, "b"),
            (40, "c"),
            (0, "d"),
            (40, "f"),
        ];
        assert_eq!(share(&shards, 0, 1), [0, 1, 2, 3, 4, 5]);
        assert_eq!(share(&shards, 0, 2), [1, 5]);
        assert_eq!(share(&shards, 1, 2), [0, 2, 3, 4]);
        let mut all: Vec<usize> = (0..9).flat_map(|rank| share(&shards, rank, 9)).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    }
}
