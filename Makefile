# Variables: PKG=./kv/...  what test runs      RUN=TestX  COUNT=10  as go test's -run and -count
#            race=         no race detector    P=3        packages at a time
#            FUZZTIME=20s  for each target     CHAOS=1m SOAK=10m  for each test

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PKG      ?= ./...
RUN      ?=
COUNT    ?= 1
P        ?= 3
race     ?= -race
FUZZTIME ?= 20s
CHAOS    ?= 1m
SOAK     ?= 5m

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0

export GOWORK := off
GOTEST := go test $(race) -p $(P) -count $(COUNT) $(if $(RUN),-run '$(RUN)')

# The modules, the root first. Those that only build servers hold no tests, and bench little more
# than benchmarks.
MODULES := . $(patsubst ./%/go.mod,%,$(shell find . -mindepth 2 -name go.mod -not -path '*/stubs/*' -not -path '*/node_modules/*' | LC_ALL=C sort))
BUILD   := interop/consul interop/servers interop/telegraf
TESTED  := $(filter-out $(BUILD) bench,$(MODULES))

.PHONY: help test servers check fmt vet staticcheck vuln tidy docs bench chaos soak fuzz mutants clean

help: ## shows this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

test: ## runs all tests with the race detector on real servers, which it installs
	@scripts/test "$(TESTED)" $(GOTEST) -timeout 8m $(PKG)

servers: ## installs the servers that tests start, outside the repository
	@scripts/servers

check: fmt tidy vet staticcheck vuln docs test ## everything that has to hold before a change is done

fmt: ## finds files that gofmt would change
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "gofmt -w:" $$out; exit 1; }

tidy: ## finds go.mod files that go mod tidy would change
	@# telegraf's tests need modules that no longer exist, so that tidy can't work there.
	@for m in $(filter-out interop/telegraf,$(MODULES)); do go -C $$m mod tidy -diff || { echo "go -C $$m mod tidy"; exit 1; }; done

vet: ## runs go vet over every module
	@for m in $(filter-out $(BUILD),$(MODULES)); do go -C $$m vet ./...; done

staticcheck: ## runs staticcheck over every module
	@for m in $(filter-out $(BUILD),$(MODULES)); do go -C $$m run $(STATICCHECK) ./...; done

vuln: ## runs govulncheck, where its database can be reached
	@if out=$$(go run $(GOVULNCHECK) ./... 2>&1); then exit 0; fi; \
	case "$$out" in \
	*"exit status 3") echo "$$out"; exit 1 ;; \
	*) echo "govulncheck could not run:" $$(grep -v '^exit status' <<<"$$out" | tail -n 1) ;; \
	esac

docs: ## compares the documentation's snippets and the dependency weights with the code
	@go test ./internal/docs ./internal/weight

bench: ## measures against other libraries; writes bench/RESULTS.md and bench/plots
	@go -C bench run ./report

chaos: ## runs the tests named …Chaos…, and those of sync, for CHAOS each: servers killed, paused and cut off
	@scripts/servers
	@CHAOS=$(CHAOS) REQUIRE_SERVERS=1 go test $(race) -count 1 -p 1 -run Chaos -timeout 2h -v $(PKG)
	@CHAOS=$(CHAOS) REQUIRE_SERVERS=1 go test $(race) -count 1 -p 1 -timeout 2h -v ./sync/internal/chaos

soak: ## runs the tests named …Soak… for SOAK each: load, memory, goroutines
	@scripts/servers
	@SOAK=$(SOAK) REQUIRE_SERVERS=1 go test $(race) -count 1 -p 1 -run Soak -timeout 6h -v $(PKG)

fuzz: ## runs each fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME) $(PKG)

mutants: ## changes the code of PKG in small ways and lists what no test notices
	@go run ./scripts/mutants $(if $(RUN),-run '$(RUN)') $(PKG)

clean: ## forgets test results; the servers stay
	@go clean -testcache
