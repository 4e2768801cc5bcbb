# Variables: PKG=./kv/...  what test runs      RUN=TestX  COUNT=10  as go test's -run and -count
#            race=         no race detector    P=3        packages at a time
#            PICTURES=dir  where pictures of the page go
#            FUZZTIME=20s  for each target     CHAOS=1m SOAK=10m  for each test
#            SEEDS=10000  for each world       FIRST=1    the first of them
#            COUNT=20 BUSY=4 STOP=5s  of make stress: runs, busy loops beside, and how long tests stand still
#            SEARCHES=10000  of make searches, from SEED=7; SEED is make replay's seed, too
#            SOAK_OUT=dir  where samples and plots of make soak go

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
PICTURES ?= /tmp/go-platform-pictures
CHAOS    ?= 1m
SOAK     ?= 5m
SEEDS    ?= 1000
FIRST    ?= 1
SEARCHES ?= 10000
SEED     ?= 7
BUSY     ?= 4
STOP     ?= 0

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
APIDIFF     := golang.org/x/exp/cmd/apidiff@v0.0.0-20260218203240-3dfff04db8fa
TARGETS     := darwin/arm64 windows/amd64 linux/arm64 linux/386 linux/arm
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0

export GOWORK := off
# -s -w: a third of linking is what only debuggers read. -vet=off: make vet looks at everything once,
# beside the tests.
GOTEST := go test $(race) -vet=off -ldflags="-s -w" -p $(P) -count $(COUNT) $(if $(RUN),-run '$(RUN)')

# The modules, the root first. Those that only build servers hold no tests, and bench little more
# than benchmarks.
MODULES := . $(patsubst ./%/go.mod,%,$(shell find . -mindepth 2 -name go.mod -not -path '*/stubs/*' -not -path '*/node_modules/*' | LC_ALL=C sort))
BUILD   := interop/consul interop/kubernetes interop/servers interop/telegraf
TESTED  := $(filter-out $(BUILD) bench,$(MODULES))

.PHONY: help test servers check fmt vet staticcheck vuln tidy docs targets newest api pictures bench chaos cassandra searches sim replay soak stress fuzz mutants plants errors clean

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

vuln: ## runs govulncheck; fails when it finds something, or could not look
	@go run $(GOVULNCHECK) ./... || { echo "govulncheck: not green: it found something, or its database could not be reached"; exit 1; }

targets: ## builds the code and the tests for the other platforms that users have
	@for t in $(TARGETS); do echo "# $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 go vet ./...; done

newest: ## runs the tests with the newest versions of all requirements; changes go.mod only in a copy
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; git archive HEAD | tar -x -C "$$dir"; cd "$$dir"; git init -q .; \
	go get -u ./... && go mod tidy && scripts/test . $(GOTEST) -timeout 8m $(PKG)

api: ## lists what changed in the exported names since the last tag
	@tag=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || { echo "no tag to compare with"; exit 0; }; \
	dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/old"; rm -rf "$$dir"' EXIT; git worktree add -q --detach "$$dir/old" "$$tag"; \
	(cd "$$dir/old" && go run $(APIDIFF) -m -w "$$dir/api" $$(go list -m)); go run $(APIDIFF) -m "$$dir/api" $$(go list -m)

docs: ## compares the documentation's snippets and the dependency weights with the code
	@go test ./internal/docs ./internal/weight

pictures: ## makes pictures of the cluster page over the shop, all in PICTURES (another folder), two of them in docs
	@go test ./examples/shop -run '^TestThePageShowsTheShop$$' -count 1 -timeout 5m -pictures $(abspath $(PICTURES))
	@cp $(PICTURES)/map-1280-light.png docs/page.png; cp $(PICTURES)/map-1280-dark.png docs/page-dark.png

bench: ## measures against other libraries; writes bench/RESULTS.md and bench/plots
	@go -C bench run ./report

chaos: ## runs the tests named …Chaos…, and those of sync, for CHAOS each: servers killed, paused and cut off
	@scripts/servers
	@CHAOS=$(CHAOS) REQUIRE_SERVERS=1 go test $(race) -count 1 -p 1 -run Chaos -timeout 2h -v $(PKG)
	@CHAOS=$(CHAOS) REQUIRE_SERVERS=1 go test $(race) -count 1 -p 1 -timeout 2h -v ./sync/internal/chaos

cassandra: ## runs all tests of db/cassandra on three nodes with TLS and passwords, SEARCHES searches, and kills nodes for CHAOS
	@scripts/servers cassandra
	@CHAOS=$(CHAOS) DB_SEARCHES=$(SEARCHES) DB_SEED=$(SEED) REQUIRE_SERVERS=1 go test $(race) -count 1 -timeout 2h -v -run '^TestThreeNodesChaos$$$(if $(RUN),/$(RUN))' ./db/cassandra

searches: ## compares SEARCHES random searches with a model, on each engine of db, on records that come from SEED
	@scripts/servers
	@DB_SEARCHES=$(SEARCHES) DB_SEED=$(SEED) REQUIRE_SERVERS=1 go test -count 1 -p 1 -timeout 2h -v \
		-run '^(TestMemory|TestSQLite|TestMySQL|TestPostgres|TestOpenSearch|TestCassandra)$$/^(Conformance|RandomSearchesAgreeWithAModel)$$/^RandomSearchesAgreeWithAModel$$' ./db ./db/sql ./db/elastic ./db/cassandra

sim: ## runs the tests named …Simulated… with SEEDS seeds each: faults in a simulated world
	@SIM_SEEDS=$(SEEDS) SIM_FIRST=$(FIRST) go test $(race) -count 1 -p 2 -run Simulated -timeout 24h -v $(PKG) | grep -v '^[ 0-9]*$$\|no test files\|no tests to run'

replay: ## plays SEED of PKG's simulated world so that it is the same run on every machine
	@go -C scripts/replay run . -seed $(SEED) $(PKG)

soak: ## keeps each package under load with faults for SOAK: memory, goroutines, descriptors stay flat
	@scripts/servers
	@status=0; SOAK=$(SOAK) $(if $(SOAK_OUT),SOAK_OUT=$(abspath $(SOAK_OUT))) REQUIRE_SERVERS=1 \
		go test $(race) -count 1 -run 'Soak$(if $(RUN),/$(RUN))' -timeout 24h -parallel 64 -v ./internal/soak || status=$$?; \
	$(if $(SOAK_OUT),go -C bench run ./report -soak $(abspath $(SOAK_OUT));) exit $$status

stress: ## runs PKG's tests COUNT times beside BUSY loops, and stopped for STOP; says what failed and how often
	@scripts/servers
	@REQUIRE_SERVERS=1 go run ./scripts/stress -race=$(if $(race),true,false) -n $(COUNT) -busy $(BUSY) -stop $(STOP) $(if $(RUN),-run '$(RUN)') $(PKG)

fuzz: ## runs each fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME) $(PKG)

mutants: ## changes the code of PKG in small ways and lists what no test notices
	@go run ./scripts/mutants $(if $(RUN),-run '$(RUN)') $(PKG)

plants: ## puts faults into PKG's code on purpose and says which seed of its simulated world finds each
	@go run ./scripts/plants $(PKG)

errors: ## lists the error returns of PKG that no test of PKG runs
	@go run ./scripts/mutants -errors -p $(P) -timeout 10m $(if $(RUN),-run '$(RUN)') $(PKG)

clean: ## forgets test results; the servers stay
	@go clean -testcache
