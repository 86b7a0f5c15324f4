# Each target is a step of .ci/run, where the work is.
steps := databases lint test cover race fuzz build deps

.PHONY: ci $(steps)

ci:
	@.ci/run

$(steps):
	@.ci/run $@
