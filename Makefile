# Each target runs a step of .ci/run.
steps := tools databases lint openapi test cover race fips fuzz build oldest bench deps api licenses vuln release

.PHONY: ci headless pictures $(steps)

ci:
	@.ci/run

$(steps):
	@.ci/run $@

# The React user interface of examples/headless, and its service. Needs npm.
headless:
	npm --prefix examples/headless/ui ci --no-audit --no-fund
	npm --prefix examples/headless/ui run build
	go run ./examples/headless $(HEADLESS)

# Screenshots of the settings in each state and language: light, dark, with larger text, and up to
# 320 pixels narrow. The README shows some of them, from docs/.
pictures:
	AUTH_TEST_PICTURES=$(CURDIR)/pictures go test -count=1 -run TestBrowserSettingsLook ./examples/server
	cp pictures/acme-tokens-light.png docs/settings-tokens.png
	cp pictures/acme-tokens-dark.png docs/settings-tokens-dark.png
	cp pictures/acme-token-new-light.png docs/settings-new.png
