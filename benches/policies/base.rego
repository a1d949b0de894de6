# The load test's rules: six in three layers, none of which can fail at run time.
package tollgate.base

deny contains {"code": "paused_by_policy", "message": "The context says stop.", "remedy": "resume"} if {
	input.context.stop == true
}

warn contains {"code": "same_step_failed_again", "message": "This step has failed twice in this run."} if {
	input.run.same_step_failures >= 2
}
