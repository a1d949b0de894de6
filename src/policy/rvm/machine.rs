//! One layer as a program of the RVM, with the machine that runs it.

use crate::policy::compile::{Failure, gathered_name};
use crate::policy::set::ContractRule;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::rvm::vm::VmError;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Instructions between two looks at the clock.
const STEPS_PER_CHECK: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);
/// More instructions than any evaluation inside its time limit takes.
const MOST_INSTRUCTIONS: usize = 50_000_000;

/// What may be asked for, in the order of the program's entry points.
const QUESTIONS: [Option<ContractRule>; 3] = [None, Some(ContractRule::Allow), Some(ContractRule::AllowWithoutEntity)];

/// A program and its machine: one per layer and worker, which share nothing, not even a reference count.
pub(in crate::policy) struct Machine {
    vm: RegoVM,
}

impl Machine {
    /// Compiles what an engine was given: the modules of a layer with the rules that ask for all it says.
    pub(in crate::policy) fn new(engine: &mut Engine, data: Value) -> anyhow::Result<Self> {
        let names = QUESTIONS.map(gathered_name);
        let compiled = engine.compile_with_entrypoint(&names[0].into())?;
        let program = Compiler::compile_from_policy(&compiled, &names).map_err(|error| anyhow::anyhow!("{error}"))?;
        program.validate_limits().map_err(|error| anyhow::anyhow!(error))?;
        let mut vm = RegoVM::new();
        vm.load_program(program);
        vm.set_max_instructions(MOST_INSTRUCTIONS);
        // strict, it makes `1 < "a"` undefined, which the interpreter answers by the order of types
        vm.set_strict_builtin_errors(false);
        vm.set_data(data).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self { vm })
    }

    /// All that the layer says of an input.
    pub(in crate::policy) fn ask(
        &mut self,
        must_say: Option<ContractRule>,
        input: &Value,
        limit: Duration,
    ) -> Result<Value, Failure> {
        let entry = QUESTIONS.iter().position(|question| *question == must_say).unwrap_or(0);
        self.vm.set_input(input.clone());
        self.vm.set_execution_timer_config(Some(ExecutionTimerConfig { limit, check_interval: STEPS_PER_CHECK }));
        let vm = &mut self.vm;
        match catch_unwind(AssertUnwindSafe(|| vm.execute_entry_point_by_index(entry))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(VmError::TimeLimitExceeded { .. } | VmError::InstructionLimitExceeded { .. })) => Err(Failure::Time),
            Ok(Err(error)) => Err(Failure::Error(error.to_string(), None)),
            Err(_) => Err(Failure::Error("the machine failed".to_owned(), None)),
        }
    }
}
