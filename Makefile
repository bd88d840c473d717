# Sluice. `make help` says what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# Debian puts HAProxy where only root looks.
export PATH := $(PATH):/usr/sbin

GO        ?= go
DEMO_ARGS ?=
FIGURES   ?=
KILLS     ?= 20
SIM_RUNS  ?= 10000
SIM_FIRST ?= 1
SIM_EVERY ?= 1
SIM_SEED  ?=

# The version is the newest tag, or what the next one will be when there is none.
VERSION  ?= $(or $(patsubst v%,%,$(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null)),0.1.0-dev)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
BRANCH   ?= $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
# The commit's time, not the clock's: the same commit makes the same binary. Who
# built it, and on which machine, is nobody's business.
BUILT    ?= $(shell TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y%m%d-%H:%M:%S 2>/dev/null)

STAMP   := github.com/prometheus/common/version
LDFLAGS := -s -w \
	-X $(STAMP).Version=$(VERSION) \
	-X $(STAMP).Revision=$(REVISION) \
	-X $(STAMP).Branch=$(BRANCH) \
	-X $(STAMP).BuildDate=$(BUILT) \
	-X $(STAMP).BuildUser=sluice

LINT := bin/golangci-lint

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/sluice: one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

.PHONY: test
test: deps lint build ## everything a change must pass: lint, unit tests, the closed loop on real parts
	$(GO) test -timeout 15m ./...

.PHONY: race
race: deps ## the same tests under the race detector (wants a C compiler)
	test/deps.sh gcc=gcc gcc=libc6-dev
	CGO_ENABLED=1 $(GO) test -race -timeout 25m ./...

.PHONY: lint
lint: $(LINT) ## style, likely bugs, and the walls between packages
	$(LINT) run ./...
	$(GO) run ./test/safety -check
	$(GO) run ./test/apidocs -check
	$(GO) run ./alerts/generate -check
	$(GO) run ./dashboards/generate -check

.PHONY: docs
docs: ## docs/safety.md: which tests guard which invariant; docs/api.md: the HTTP API
	$(GO) run ./test/safety
	$(GO) run ./test/apidocs

.PHONY: rules
rules: ## alerts/*.rules.yml, the manifest and the mixin, from alerts/source
	$(GO) run ./alerts/generate

.PHONY: boards
boards: ## dashboards/*.json and dashboards/import, from dashboards/source
	$(GO) run ./dashboards/generate

.PHONY: zabbix
zabbix: ## deploy/zabbix/sluice.yaml
	$(GO) run ./deploy/zabbix

.PHONY: zabbixcheck
zabbixcheck: ## that file, judged by the code of Zabbix' own frontend, from its Debian package
	@test/deps.sh php=php-cli
	@mkdir -p bin/zabbix && cd bin/zabbix && rm -f *.deb && apt-get -qq download zabbix-frontend-php && dpkg -x zabbix-frontend-php_*.deb .
	SLUICE_ZABBIX_FRONTEND=$(CURDIR)/bin/zabbix/usr/share/zabbix $(GO) test -count 1 -run OwnCode -v ./deploy/zabbix

.PHONY: mutate
mutate: ## docs/mutation.md: each guard taken out in turn, and the test that notices
	$(GO) run ./test/mutate

.PHONY: fmt
fmt: $(LINT) ## format all Go files
	$(LINT) fmt ./...

.PHONY: bench
bench: deps figures ## from kill to drained, what scrapes and probes cost, floods of alerts, failovers, and the Go benchmarks
	$(GO) run ./test/mttr -sluice bin/sluice -kills $(KILLS)
	$(GO) run ./test/storm
	$(GO) test -run '^$$' -bench Failover -benchtime $(KILLS)x ./test/replicas
	$(GO) list ./... | grep -v /test/ | xargs $(GO) test -run '^$$' -bench . -benchtime 1s -benchmem

# The figures want a machine that does nothing else: no part of them runs beside another.
.PHONY: figures
figures: bench-deps build ## what scrapes and probes cost, beside the peers (FIGURES='-write docs/performance.md', or -quick)
	$(GO) build -o bin/ ./test/scrapecost ./test/probecost
	bin/scrapecost -sluice bin/sluice $(FIGURES)
	bin/probecost -sluice bin/sluice $(FIGURES)

.PHONY: incidents
incidents: deps build ## docs/incidents.md: things broken on purpose on the real parts, which alerts fire when and what is done (about ten minutes)
	$(GO) build -o bin/ ./test/incidents
	bin/incidents -sluice bin/sluice -write docs/incidents.md

.PHONY: sim
sim: ## random worlds in virtual time: every invariant after every event (SIM_RUNS=10000; SIM_SEED=n shows one)
	SIM_RUNS=$(SIM_RUNS) SIM_FIRST=$(SIM_FIRST) SIM_EVERY=$(SIM_EVERY) SIM_SEED=$(SIM_SEED) $(GO) test ./remediator -run '^TestSimulation$$' -count 1 -v -timeout 6h

.PHONY: demo
demo: deps build ## watch it work: a member dies, is drained, comes back (DEMO_ARGS=--once for scripts)
	@$(GO) build -o bin/demo ./test/demo
	@exec bin/demo -sluice bin/sluice $(DEMO_ARGS)

.PHONY: deps
deps: ## HAProxy, Prometheus, Alertmanager, etcd, Chromium and what else tests want from packages, where it is missing
	@test/deps.sh haproxy=haproxy prometheus=prometheus promtool=prometheus prometheus-alertmanager=prometheus-alertmanager etcd=etcd-server prometheus-blackbox-exporter=prometheus-blackbox-exporter prometheus-haproxy-exporter=prometheus-haproxy-exporter curl=curl jq=jq openssl=openssl ss=iproute2 zsh=zsh fish=fish mandoc=mandoc chromium=chromium chromium=fonts-dejavu-core npm=npm
	@$(MAKE) --no-print-directory $(AXE)

# axe-core looks for what people who don't see a page would miss. npm checks it
# against the sum in package-lock.json and runs none of its scripts.
AXE := test/console/axe/node_modules/axe-core/axe.min.js
$(AXE): test/console/axe/package.json test/console/axe/package-lock.json
	@cd $(dir $<) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: screenshots
screenshots: deps ## bin/screenshots: the console as people see it, in both languages, light and dark, wide and narrow
	SCREENSHOTS=$(CURDIR)/bin/screenshots $(GO) test -count 1 ./test/console

.PHONY: bench-deps
bench-deps: deps ## the exporters that ours is measured beside, from Debian's packages
	@test/deps.sh prometheus-haproxy-exporter=prometheus-haproxy-exporter prometheus-blackbox-exporter=prometheus-blackbox-exporter

.PHONY: clean
clean: ## remove what was built
	rm -rf bin

# Built from the versions in tools/go.mod, once: it takes a few minutes.
$(LINT): tools/go.mod tools/go.sum
	cd tools && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
