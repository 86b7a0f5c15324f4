# Each target runs a step of .ci/run.
steps := databases lint openapi test cover race fips fuzz build bench deps

.PHONY: ci pictures $(steps)

ci:
	@.ci/run

$(steps):
	@.ci/run $@

# Screenshots of the settings in each state: light, dark, and 320 pixels wide. The README
# shows two of them, from docs/.
pictures:
	AUTH_TEST_PICTURES=$(CURDIR)/pictures go test -count=1 -run TestBrowserSettingsLook ./examples/server
	cp pictures/tokens-light.png docs/settings-tokens.png
	cp pictures/token-new-light.png docs/settings-new.png
