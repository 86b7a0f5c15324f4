# Each target is a step of .ci/run, where the work is.
steps := databases lint test cover race fuzz build bench deps

.PHONY: ci pictures $(steps)

ci:
	@.ci/run

$(steps):
	@.ci/run $@

# What the settings look like in each state: light, dark, and 320 pixels wide. Two
# of them are in docs/ for the README.
pictures:
	AUTH_TEST_PICTURES=$(CURDIR)/pictures go test -count=1 -run TestBrowserSettingsLook ./examples/server
	cp pictures/tokens-light.png docs/settings-tokens.png
	cp pictures/token-new-light.png docs/settings-new.png
