//! One layer as a program of the RVM: compiled once, kept in a compact form that any worker may read, and run by a machine
//! that a worker has for itself.

use crate::policy::compile::{Failure, gathered_name};
use crate::policy::set::ContractRule;
use anyhow::{anyhow, bail};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::rvm::program::{DeserializationResult, Program};
use regorus::rvm::vm::VmError;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Instructions between two looks at the clock.
const STEPS_PER_CHECK: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);
/// More instructions than any evaluation inside its time limit takes.
const MOST_INSTRUCTIONS: usize = 50_000_000;

/// What may be asked for, in the order of the program's entry points.
const QUESTIONS: [Option<ContractRule>; 3] = [None, Some(ContractRule::Allow), Some(ContractRule::AllowWithoutEntity)];

/// A program as bytes, a sixth of what it takes to be run. To read it back takes some ten microseconds, a thirtieth of what
/// compiling does, and its values are then the reader's own: shared, their reference counts would collide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code(Arc<[u8]>);

impl Code {
    /// Compiles what an engine was given: the modules of a layer with the rules that ask for all it says.
    pub(in crate::policy) fn compile(engine: &mut Engine, data: &Value) -> anyhow::Result<Self> {
        let names = QUESTIONS.map(gathered_name);
        let compiled = engine.compile_with_entrypoint(&names[0].into())?;
        let mut program = Compiler::compile_from_policy(&compiled, &names).map_err(|error| anyhow!("{error}"))?;
        program.validate_limits().map_err(|error| anyhow!(error))?;
        program.check_rule_data_conflicts(data).map_err(|error| anyhow!("{error}"))?;
        let slim = Arc::make_mut(&mut program);
        // only its listing names them
        slim.sources.clear();
        slim.instruction_spans.clear();
        if slim.instruction_data.virtual_data_document_lookup_params.is_empty() {
            // nothing looks rules up by name
            slim.rule_tree = Value::new_object();
        }
        let bytes = slim.serialize_binary().map_err(|error| anyhow!(error))?;
        Ok(Self(bytes.into()))
    }

    /// How long it is.
    pub(in crate::policy) fn bytes(&self) -> usize {
        self.0.len()
    }

    fn program(&self) -> anyhow::Result<Program> {
        match Program::deserialize_binary(&self.0) {
            Ok(DeserializationResult::Complete(program)) => Ok(program),
            Ok(DeserializationResult::Partial(_)) => bail!("its program cannot be read back"),
            Err(error) => Err(anyhow!(error)),
        }
    }
}

/// A program and its machine: one per layer and worker, which share nothing, not even a reference count.
pub(in crate::policy) struct Machine {
    vm: RegoVM,
    /// The length of the code that it was made of.
    pub(in crate::policy) code_bytes: usize,
}

impl Machine {
    /// Runs this code.
    pub(in crate::policy) fn new(code: &Code, data: Value) -> anyhow::Result<Self> {
        let mut vm = RegoVM::new();
        vm.load_program(Arc::new(code.program()?));
        vm.set_max_instructions(MOST_INSTRUCTIONS);
        // strict, it makes `1 < "a"` undefined, which the interpreter answers by the order of types
        vm.set_strict_builtin_errors(false);
        vm.set_data(data).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { vm, code_bytes: code.bytes() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_is_not_whole_is_not_run() {
        let mut engine = Engine::new();
        let text = "package tollgate.gathered\nalone := [input.x]\nwith_allow := 1\nwith_allow_without_entity := {\"k\": {1, 2.5}}\n";
        engine.add_policy("answer".to_owned(), text.to_owned()).unwrap();
        let code = Code::compile(&mut engine, &Value::new_object()).unwrap();
        let mut machine = Machine::new(&code, Value::new_object()).unwrap();
        let input = Value::from_json_str("{\"x\": \"said\"}").unwrap();
        for (question, said) in [
            (None, "[\"said\"]"),
            (Some(ContractRule::Allow), "1"),
            (Some(ContractRule::AllowWithoutEntity), "{\"k\":[1,2.5]}"),
        ] {
            let answer = machine.ask(question, &input, Duration::from_secs(1)).unwrap();
            assert_eq!(answer.to_json_str().unwrap().replace([' ', '\n'], ""), said);
        }
        for length in 0..code.bytes() {
            assert!(Machine::new(&Code(code.0[..length].into()), Value::new_object()).is_err(), "{length}");
        }
    }

    #[test]
    fn data_in_the_place_of_a_rule_is_refused_when_it_is_compiled() {
        let mut engine = Engine::new();
        let text = "package tollgate.gathered\nalone := 1\nwith_allow := 1\nwith_allow_without_entity := 1\n";
        engine.add_policy("answer".to_owned(), text.to_owned()).unwrap();
        let data = Value::from_json_str("{\"tollgate\": {\"gathered\": {\"alone\": 2}}}").unwrap();
        assert!(Code::compile(&mut engine, &data).is_err());
    }
}
