//! Ranks: which shards each run takes if several runs share a corpus, and how schedulers say which run this is.

use crate::{cli::RankChoice, hinted_error::HintedError};

/// Most runs that share a corpus.
const MOST: usize = 1 << 20;
/// Where the rank of a task comes from whose number SLURM does not say.
const PROCID: &str = "SLURM_PROCID";
/// Most characters of an environment variable in an error.
const SHOWN: usize = 40;

/// One of several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    /// The environment variables that it came from; none if it was given as arguments.
    pub(crate) from: Option<&'static str>,
}

/// The rank from the arguments, else from a scheduler's environment variables.
///
/// With `auto`, one must be found. With neither, only variables that nothing but shared work sets are read: those of
/// SLURM job arrays, Kubernetes indexed jobs and launchers such as torchrun. SLURM sets the variables of tasks in every
/// batch job.
///
/// # Errors
/// If numbers are missing, no numbers, or contradict each other.
pub(crate) fn resolve(
    choice: Option<RankChoice>,
    world_size: Option<usize>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Rank> {
    let (rank, world_size, from) = match (choice, world_size) {
        (Some(RankChoice::Number(rank)), Some(world_size)) => (rank, world_size, None),
        (Some(RankChoice::Number(rank)), None) => {
            return Err(HintedError::error(
                format!("--rank {rank}: expected --world-size with it, got none"),
                "give the number of runs that share the corpus with --world-size",
            ));
        }
        (None, Some(1)) => (0, 1, None),
        (Some(RankChoice::Auto) | None, given) => {
            let is_auto = choice.is_some();
            match scheduled(is_auto, &Environment(environment))? {
                Some(found) => (found.rank, found.world_size(given)?, Some(found.from)),
                None if is_auto => {
                    return Err(HintedError::error(
                        "--rank auto: expected a rank from a scheduler, got none of the environment variables \
                         SLURM_PROCID, SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX and RANK",
                        "start the program with srun, in a job array, in an indexed Job or with torchrun; or give \
                         --rank and --world-size as numbers",
                    ));
                }
                None => match given {
                    None => (0, 1, None),
                    Some(world_size) => {
                        return Err(HintedError::error(
                            format!("--world-size {world_size}: expected --rank with it, got none"),
                            "give the rank of this run, counted from 0, with --rank",
                        ));
                    }
                },
            }
        }
    };
    let source = from.unwrap_or("--rank");
    if world_size > MOST {
        return Err(HintedError::error(
            format!("--world-size: expected at most {MOST}, got {world_size}"),
            "name the number of runs that share the corpus",
        ));
    }
    if rank >= world_size {
        return Err(HintedError::error(
            format!(
                "{source}: expected a rank below the number of ranks, {world_size}, got {rank}"
            ),
            "count the ranks from 0; --world-size is the number of runs that share the corpus",
        ));
    }
    Ok(Rank {
        rank,
        world_size,
        from,
    })
}

/// A rank as one scheduler gives it.
#[derive(Clone)]
struct Scheduled {
    rank: usize,
    /// The number of ranks; Kubernetes does not say it.
    count: Option<usize>,
    /// The variables it came from.
    from: &'static str,
}

impl Scheduled {
    /// The number of ranks, which `--world-size` must not contradict.
    fn world_size(&self, given: Option<usize>) -> anyhow::Result<usize> {
        let Self { rank, count, from } = self;
        match (given, count) {
            (Some(given), &Some(count)) if given != count => Err(HintedError::error(
                format!("--world-size {given}: expected the number of ranks from {from}, {count}"),
                "omit --world-size, or give --rank as a number too; to repeat some ranks, start all again: \
                 finished ones end at once",
            )),
            (Some(count), _) | (None, &Some(count)) => Ok(count),
            (None, None) => Err(HintedError::error(
                format!("{from} is {rank}: expected --world-size with it, got none"),
                "give the number of runs that share the corpus, the completions of the job, with --world-size; \
                 --world-size 1 takes the whole corpus",
            )),
        }
    }

    /// Whether it is a run of its own, which shares nothing.
    fn is_alone(&self) -> bool {
        self.rank == 0 && (self.count == Some(1) || self.from == PROCID)
    }

    fn shown(&self) -> String {
        let of = self.count.map(|count| format!(" of {count}"));
        format!("{}{} from {}", self.rank, of.unwrap_or_default(), self.from)
    }
}

/// The rank that the environment gives. An array task or a process that is the only one of its kind shares nothing;
/// other schedulers must agree.
fn scheduled(is_auto: bool, environment: &Environment<'_>) -> anyhow::Result<Option<Scheduled>> {
    let all = [
        environment.slurm(is_auto)?,
        environment.kubernetes()?,
        environment.launcher(is_auto)?,
    ];
    let (alone, shared): (Vec<_>, Vec<_>) =
        all.into_iter().flatten().partition(Scheduled::is_alone);
    let mut found = match shared.is_empty() {
        true => alone,
        false => shared,
    }
    .into_iter();
    let Some(mut first) = found.next() else {
        return Ok(None);
    };
    for other in found {
        let counts_differ = first.count.zip(other.count).is_some_and(|(a, b)| a != b);
        if first.rank != other.rank || counts_differ {
            return Err(two_ranks(&first, &other));
        }
        first.count = first.count.or(other.count);
    }
    Ok(Some(first))
}

fn two_ranks(one: &Scheduled, other: &Scheduled) -> anyhow::Error {
    HintedError::error(
        format!(
            "--rank: expected one rank from the environment, got two: {}, and {}",
            one.shown(),
            other.shown()
        ),
        "give --rank and --world-size as numbers, or unset the variables of one of the schedulers",
    )
}

/// The environment variables of the process.
struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// The number in a variable; none if it is not set.
    fn number(&self, name: &'static str) -> anyhow::Result<Option<usize>> {
        let Some(text) = self.0(name) else {
            return Ok(None);
        };
        text.trim().parse().map(Some).map_err(|_| {
            let shown: String = text.chars().take(SHOWN).collect();
            HintedError::error(
                format!("{name}: expected a whole number, got {shown:?}"),
                "unset the variable, or give --rank and --world-size as numbers",
            )
        })
    }

    /// A task of srun or of a job array.
    fn slurm(&self, is_auto: bool) -> anyhow::Result<Option<Scheduled>> {
        let array = self.slurm_array()?;
        let task = match is_auto {
            true => self.slurm_task()?,
            false => None,
        };
        let (Some(array), Some(task)) = (&array, &task) else {
            return Ok(array.or(task));
        };
        // The batch script of each task of an array is number 0, and no step.
        let is_step = self.0("SLURM_STEP_ID").is_some();
        match (array.is_alone(), task.is_alone() || !is_step) {
            (_, true) => Ok(Some(array.clone())),
            (true, false) => Ok(Some(task.clone())),
            // Never the same rank, even if the numbers are equal: one counts within the other.
            (false, false) => Err(two_ranks(array, task)),
        }
    }

    /// A task of a SLURM job array. The ranks count the tasks from the first, whatever their numbers are.
    fn slurm_array(&self) -> anyhow::Result<Option<Scheduled>> {
        let Some(task) = self.number("SLURM_ARRAY_TASK_ID")? else {
            return Ok(None);
        };
        let first = self.number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
        let last = self.number("SLURM_ARRAY_TASK_MAX")?;
        let step = self.number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
        let count = self.number("SLURM_ARRAY_TASK_COUNT")?;
        let number_of = |task: usize| {
            let steps = task.checked_sub(first)?;
            steps.is_multiple_of(step).then_some(steps / step)
        };
        let rank = number_of(task);
        // With numbers left out, the numbers of some tasks would be no ranks.
        let has_gaps = match (last, count) {
            (Some(last), Some(count)) => number_of(last).is_none_or(|last| last + 1 != count),
            _ => false,
        };
        let Some(rank) = rank.filter(|_| !has_gaps) else {
            return Err(HintedError::error(
                format!(
                    "SLURM_ARRAY_TASK_ID is {task}: expected an array without gaps, got tasks from {first} by steps of \
                     {step}{}",
                    count
                        .map(|count| format!(", {count} in all"))
                        .unwrap_or_default()
                ),
                "submit the array with --array=0-N, also to repeat some tasks: finished ranks end at once; or give \
                 --rank and --world-size as numbers",
            ));
        };
        Ok(Some(Scheduled {
            rank,
            count,
            from: "SLURM_ARRAY_TASK_ID and _COUNT",
        }))
    }

    /// A task that srun started. The script of a batch job is number 0 too, without a number of tasks if none was asked
    /// for.
    fn slurm_task(&self) -> anyhow::Result<Option<Scheduled>> {
        let count = self.number("SLURM_NTASKS")?;
        let rank = self.number("SLURM_PROCID")?;
        Ok(rank.map(|rank| Scheduled {
            rank,
            count,
            from: match count {
                Some(_) => "SLURM_PROCID and SLURM_NTASKS",
                None => PROCID,
            },
        }))
    }

    /// A pod of an indexed job. JOB_COMPLETIONS is not Kubernetes' own: manifests may set it.
    fn kubernetes(&self) -> anyhow::Result<Option<Scheduled>> {
        let Some(rank) = self.number("JOB_COMPLETION_INDEX")? else {
            return Ok(None);
        };
        let count = self.number("JOB_COMPLETIONS")?;
        Ok(Some(Scheduled {
            rank,
            count,
            from: match count {
                Some(_) => "JOB_COMPLETION_INDEX and JOB_COMPLETIONS",
                None => "JOB_COMPLETION_INDEX",
            },
        }))
    }

    /// A process of torchrun or another launcher of its kind. The names are so common that one alone means nothing,
    /// unless a rank was asked for.
    fn launcher(&self, is_auto: bool) -> anyhow::Result<Option<Scheduled>> {
        let is_set = |name| self.0(name).is_some();
        let is_meant = match (is_set("RANK"), is_set("WORLD_SIZE")) {
            (true, true) => true,
            (false, false) => false,
            _ => is_auto,
        };
        if !is_meant {
            return Ok(None);
        }
        let count = self.number("WORLD_SIZE")?;
        match self.number("RANK")? {
            Some(rank) => Ok(Some(Scheduled {
                rank,
                count,
                from: "RANK and WORLD_SIZE",
            })),
            None => Err(HintedError::error(
                "WORLD_SIZE: expected RANK with it, got none",
                "unset WORLD_SIZE, or give --rank and --world-size as numbers",
            )),
        }
    }
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

    const AUTO: Option<RankChoice> = Some(RankChoice::Auto);

    fn with(
        choice: Option<RankChoice>,
        world_size: Option<usize>,
        environment: &[(&str, &str)],
    ) -> Result<(usize, usize), String> {
        let get = |name: &str| {
            let found = environment.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        resolve(choice, world_size, &get)
            .map(|r| (r.rank, r.world_size))
            .map_err(|e| e.to_string())
    }

    fn number(rank: usize) -> Option<RankChoice> {
        Some(RankChoice::Number(rank))
    }

    const ARRAY: [(&str, &str); 5] = [
        ("SLURM_ARRAY_TASK_ID", "7"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "9"),
        ("SLURM_ARRAY_TASK_STEP", "2"),
        ("SLURM_ARRAY_TASK_COUNT", "5"),
    ];
    const TASK: [(&str, &str); 2] = [("SLURM_PROCID", "3"), ("SLURM_NTASKS", "8")];
    const LAUNCHER: [(&str, &str); 2] = [("RANK", "9"), ("WORLD_SIZE", "10")];
    const INDEX: [(&str, &str); 2] = [("JOB_COMPLETION_INDEX", "2"), ("JOB_COMPLETIONS", "3")];

    #[test]
    fn schedulers_say_who_we_are() {
        for choice in [None, AUTO] {
            assert_eq!(with(choice, None, &ARRAY), Ok((3, 5)));
            assert_eq!(with(choice, None, &LAUNCHER), Ok((9, 10)));
            assert_eq!(with(choice, None, &INDEX), Ok((2, 3)));
            assert_eq!(with(choice, Some(3), &INDEX[..1]), Ok((2, 3)));
        }
        assert_eq!(with(number(1), Some(2), &ARRAY), Ok((1, 2)));
        assert_eq!(with(None, Some(1), &LAUNCHER), Ok((0, 1)));
        assert_eq!(with(None, None, &[]), Ok((0, 1)));
        // Every batch job has the variables of tasks: only `auto` shares by them.
        assert_eq!(with(AUTO, None, &TASK), Ok((3, 8)));
        assert_eq!(with(None, None, &TASK), Ok((0, 1)));
        // One name of a launcher alone means nothing.
        assert_eq!(with(None, None, &[("RANK", "gold")]), Ok((0, 1)));
    }

    #[test]
    fn a_scheduler_with_one_process_shares_nothing() {
        let one = [
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "1"),
            ("SLURM_STEP_ID", "0"),
        ];
        assert_eq!(with(AUTO, None, &[&ARRAY[..], &one].concat()), Ok((3, 5)));
        assert_eq!(with(AUTO, None, &[&one[..], &INDEX].concat()), Ok((2, 3)));
        assert_eq!(with(AUTO, None, &one), Ok((0, 1)));
        // Two that agree.
        let same = [("RANK", "3"), ("WORLD_SIZE", "8")];
        assert_eq!(with(AUTO, None, &[&TASK[..], &same].concat()), Ok((3, 8)));
    }

    /// The variables are those of SLURM 22.05.
    #[test]
    fn batch_scripts_are_no_tasks() {
        let array = |task: &'static str| {
            [
                ("SLURM_ARRAY_TASK_ID", task),
                ("SLURM_ARRAY_TASK_MIN", "0"),
                ("SLURM_ARRAY_TASK_MAX", "1"),
                ("SLURM_ARRAY_TASK_STEP", "1"),
                ("SLURM_ARRAY_TASK_COUNT", "2"),
            ]
        };
        let script = [("SLURM_PROCID", "0")];
        let of_two = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2")];
        for (task, rank) in [("0", 0), ("1", 1)] {
            for script in [&script[..], &of_two] {
                let environment = [&array(task)[..], script].concat();
                assert_eq!(with(AUTO, None, &environment), Ok((rank, 2)));
            }
            // Tasks of srun within those of an array, also where the numbers are equal.
            for inner in ["0", "1"] {
                let step = [
                    ("SLURM_PROCID", inner),
                    ("SLURM_NTASKS", "2"),
                    ("SLURM_STEP_ID", "0"),
                ];
                refused(
                    AUTO,
                    None,
                    &[&array(task)[..], &step].concat(),
                    "expected one rank",
                );
            }
        }
        let launcher = [&script[..], &LAUNCHER].concat();
        assert_eq!(with(AUTO, None, &launcher), Ok((9, 10)));
        refused(
            AUTO,
            None,
            &script,
            "SLURM_PROCID is 0: expected --world-size with it, got none",
        );
        let alone = [
            ("SLURM_ARRAY_TASK_ID", "0"),
            ("SLURM_ARRAY_TASK_COUNT", "1"),
        ];
        let step = [&alone[..], &TASK, &[("SLURM_STEP_ID", "0")]].concat();
        assert_eq!(with(AUTO, None, &step), Ok((3, 8)));
    }

    #[track_caller]
    fn refused(
        choice: Option<RankChoice>,
        world_size: Option<usize>,
        environment: &[(&str, &str)],
        said: &str,
    ) {
        let error = with(choice, world_size, environment).unwrap_err();
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn what_is_missing_or_contradicts_itself_is_refused() {
        refused(number(0), None, &[], "--rank 0: expected --world-size");
        refused(None, Some(2), &[], "--world-size 2: expected --rank");
        refused(
            number(2),
            Some(2),
            &[],
            "--rank: expected a rank below the number of ranks, 2, got 2",
        );
        refused(
            number(0),
            Some(usize::MAX),
            &[],
            "--world-size: expected at most",
        );
        refused(
            AUTO,
            None,
            &[],
            "--rank auto: expected a rank from a scheduler",
        );
        refused(
            AUTO,
            Some(2),
            &[],
            "--rank auto: expected a rank from a scheduler",
        );
        refused(
            None,
            None,
            &INDEX[..1],
            "JOB_COMPLETION_INDEX is 2: expected --world-size",
        );
        refused(
            AUTO,
            None,
            &TASK[..1],
            "SLURM_PROCID is 3: expected --world-size",
        );
        refused(
            AUTO,
            None,
            &LAUNCHER[..1],
            "RANK and WORLD_SIZE is 9: expected --world-size",
        );
        refused(
            AUTO,
            None,
            &LAUNCHER[1..],
            "WORLD_SIZE: expected RANK with it",
        );
        refused(
            AUTO,
            Some(4),
            &TASK,
            "--world-size 4: expected the number of ranks from SLURM_PROCID and SLURM_NTASKS, 8",
        );
        refused(
            AUTO,
            Some(2),
            &INDEX[..1],
            "JOB_COMPLETION_INDEX: expected a rank below the number of ranks, 2, got 2",
        );
        for (name, value) in [
            ("SLURM_PROCID", ""),
            ("SLURM_NTASKS", "-1"),
            ("JOB_COMPLETION_INDEX", "2.0"),
        ] {
            let environment = [(name, value), ("RANK", "0"), ("WORLD_SIZE", "2")];
            refused(
                AUTO,
                None,
                &environment,
                &format!("{name}: expected a whole number, got {value:?}"),
            );
        }
        let long = "9".repeat(1000);
        refused(
            None,
            None,
            &[("JOB_COMPLETION_INDEX", &long)],
            &format!("got \"{}\"", &long[..40]),
        );
        let both = [&TASK[..], &LAUNCHER].concat();
        let said = "got two: 3 of 8 from SLURM_PROCID and SLURM_NTASKS, and 9 of 10 from RANK and WORLD_SIZE";
        refused(AUTO, None, &both, said);
        refused(
            None,
            None,
            &[&ARRAY[..], &LAUNCHER].concat(),
            "got two: 3 of 5 from SLURM_ARRAY_TASK_ID",
        );
    }

    #[test]
    fn arrays_with_gaps_are_refused() {
        let array = |task: &'static str, last, count| {
            [
                ("SLURM_ARRAY_TASK_ID", task),
                ("SLURM_ARRAY_TASK_MIN", "0"),
                ("SLURM_ARRAY_TASK_MAX", last),
                ("SLURM_ARRAY_TASK_STEP", "1"),
                ("SLURM_ARRAY_TASK_COUNT", count),
            ]
        };
        assert_eq!(with(None, None, &array("0", "2", "3")), Ok((0, 3)));
        refused(
            None,
            None,
            &array("0", "2", "2"),
            "expected an array without gaps",
        );
        // Some tasks of an array again.
        refused(
            None,
            Some(8),
            &array("0", "2", "3"),
            "--world-size 8: expected the number of ranks",
        );
        let between = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_STEP", "2")];
        refused(None, Some(8), &between, "expected an array without gaps");
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
