# One command does each job; every target sets up what it needs first.
# The first thing to type:  make help, make demo   (a real film through the API)   or   make test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
INSTALLED := $(VENV)/.installed
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
# a line a package while pip works; what it says of trouble goes to stderr, and is seen anyway
PROGRESS := | while read -r did what _; do case "$$did $$what" in \
	"Collecting "*) printf '  %3d  %s\n' $$((n += 1)) "$${what%%[(<>=!~;]*}" ;; \
	"Installing collected") echo "  writing them into $(VENV) ..." ;; esac; done

EXAMPLES ?= 2000

.PHONY: found-data tear-off points damage cancels restarts clock sleep network setup demo serve test check bench bench-scale bench-webrtc soak power-cuts kills followers model model-breaks bench-events bench-stream contract lock clean

.PHONY: help
help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## what all of these need, into .venv

# what runs, without the tools of its makers: all that 'make demo' and 'make serve' need
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || \
		{ rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV); }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
		{ echo "pip is missing: install python3-venv"; exit 1; }
	@$(PIP) --constraint constraints.txt --editable . $(PROGRESS)
	@touch $@

$(STAMP): $(INSTALLED)
	@$(PIP) --constraint constraints.txt "pip>=25.1" $(PROGRESS)
	@$(PIP) --constraint constraints.txt --editable . --group dev $(PROGRESS)
	@$(BIN)/python -m pip uninstall --quiet --yes setuptools 2>/dev/null || true # venv's own, old
	@touch $@

demo: $(INSTALLED) ## the main job: a film arrives through the API, on this machine alone
	@$(BIN)/chilly demo --keep

serve: $(INSTALLED) ## the backend on http://localhost:3000
	@$(BIN)/chilly serve

# hundreds of processes are started: none should compile everything anew, whatever is set outside
test: export PYTHONDONTWRITEBYTECODE :=
test: setup ## all tests
	@$(BIN)/python -m compileall -q src
	@$(BIN)/python -m pytest -n 6 --dist loadgroup

model: setup ## the downloader against its specification: EXAMPLES random runs over each store
	@CHILLY_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n 2 --timeout 0 -q tests/model

.PHONY: properties
properties: setup ## what must hold of any input, with EXAMPLES of each
	@CHILLY_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n 2 --timeout 0 -q -m hypothesis \
		--ignore tests/model

model-breaks: setup ## breaks the core on purpose, line by line; the model test must find each
	@$(BIN)/python -m lab.model_breaks

.PHONY: audit
audit: setup ## what bandit, semgrep, pip-audit, zizmor and a search for secrets say; needs the network
	@test -x .audit/bin/semgrep || { $(PYTHON) -m venv .audit && .audit/bin/python -m pip install \
		--quiet --disable-pip-version-check bandit cyclonedx-bom detect-secrets pip-audit zizmor semgrep && \
		.audit/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "guarddog<2"; }
	@$(BIN)/python -m tests.security.audit

.PHONY: edges
edges: setup ## every route of the API under every hostile host, key and document there is
	@CHILLY_ALL_PAIRS=1 $(BIN)/python -m pytest -q tests/security/test_edge_matrix.py

.PHONY: doors
doors: setup ## take the guards of the doors away, one by one; each must be missed; GUARDS= chooses
	@$(BIN)/python -m lab.guards $(GUARDS)

tear-off: setup ## delete rooms one by one; all other tests must pass; ROOMS= chooses
	@$(BIN)/python -m lab.tear_off $(ROOMS)

check: setup ## style, types, import directions, and that the contract is current
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m chilly_movies.api.contract --check contracts/openapi.yaml

bench: setup ## side by side with other programs; SIZE= in MiB, ROUNDS=, ONLY=ours,libtorrent, TREE= another clone
	@$(BIN)/python -m benchmarks.engine $(if $(SIZE),--size-mib $(SIZE)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(ONLY),--only $(ONLY)) $(foreach tree,$(TREE),--tree $(tree))

soak: leaks ## kill the server ROUNDS times and check every promise; SEED= repeats a run
	@$(BIN)/python -m lab.crash.soak --rounds $(or $(ROUNDS),500) $(if $(SEED),--seed $(SEED))

leaks: setup ## let 50 jobs come and go for MINUTES and see what the server keeps
	@$(BIN)/python -m lab.crash.churn --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

power-cuts: setup ## cut the power of a busy server CUTS times (root, loop devices)
	@$(BIN)/python -m lab.crash.power --cuts $(or $(CUTS),50) $(if $(SEED),--seed $(SEED))

.PHONY: http-kills http-power-cuts
http-kills: setup ## kill -9 KILLS times during one http download of SIZE MiB, RATE MB/s, SEGMENTS at once
	@$(BIN)/python -m lab.crash.http_kills --kills $(or $(KILLS),10) --size-mib $(or $(SIZE),1024) \
		--rate $(or $(RATE),20) --segments $(or $(SEGMENTS),8) $(if $(SEED),--seed $(SEED))

http-power-cuts: setup ## cut the power CUTS times during http downloads (root, loop devices)
	@$(BIN)/python -m lab.crash.http_power --cuts $(or $(CUTS),20) $(if $(SEED),--seed $(SEED))

kills: setup ## kill -9 a busy writer of the database KILLS times
	@$(BIN)/python -m lab.crash.kills --kills $(or $(KILLS),200) $(if $(SEED),--seed $(SEED))

.PHONY: queue
queue: setup ## five clients move fifty jobs about, MOVES each; the server is killed ROUNDS times
	@CHILLY_ROUNDS=$(or $(ROUNDS),50) CHILLY_MOVES=$(or $(MOVES),20) \
		$(BIN)/python -m pytest -q --timeout 0 tests/acceptance/test_queue_order.py

followers: setup ## kill -9 a follower and a webhook's receiver KILLS times
	@$(BIN)/python -m lab.crash.followers --kills $(or $(KILLS),200) $(if $(SEED),--seed $(SEED))

.PHONY: recognise-corpus
recognise-corpus: setup ## how many of 2,600 names of releases are recognised right, and which are not; NAMES= another file
	@$(BIN)/python -m lab.recognition $(if $(NAMES),--names $(NAMES))

.PHONY: old-jobs
old-jobs: setup ## take over JOBS jobs of the first version; TREE= is a clone at 9e7d285, set up
	@$(BIN)/python -m lab.old_jobs --tree $(TREE) --jobs $(or $(JOBS),1000)

points: setup ## kill the server at each failpoint, at its first, second, ... time
	@$(BIN)/python -m lab.crash.points

found-data: setup ## TORRENTS whose FILES lie here renamed and moved: what is found, and that nothing is changed; DOWNLOADS= of the first few
	@$(BIN)/python -m lab.found_data --torrents $(or $(TORRENTS),100) --files $(or $(FILES),20000)$(if $(DOWNLOADS), --downloads $(DOWNLOADS))

damage: setup ## damage TRIALS files while nobody looks; SEED= repeats a run
	@$(BIN)/python -m lab.crash.damage --trials $(or $(TRIALS),600) $(if $(SEED),--seed $(SEED))

cancels: setup ## end JOBS jobs, kill the server at once, look whether any comes back
	@$(BIN)/python -m lab.crash.cancels --jobs $(or $(JOBS),1000) $(if $(SEED),--seed $(SEED))

restarts: setup ## start after kill -9 with JOBS jobs, ACTIVE of them in the middle
	@$(BIN)/python -m lab.crash.restarts --jobs $(or $(JOBS),1000) --active $(or $(ACTIVE),100)

clock: setup ## the time of day leaps by days and to other decades (libfaketime)
	@$(BIN)/python -m lab.crash.clock

sleep: setup ## the server is stopped for SECONDS, as by a laptop that sleeps
	@$(BIN)/python -m lab.crash.sleep --seconds $(or $(SECONDS),30 30 30 150 150)

.PHONY: candidates
candidates: setup ## RUNS films of ten sources each, of which eight are of no use; DEFAULTS=1 takes minutes each
	@$(BIN)/python -m lab.candidates --runs $(or $(RUNS),50) $(if $(DEFAULTS),--defaults)

network: setup ## ROUNDS of silence, lost packets and bad trackers (root, nftables)
	@$(BIN)/python -m lab.crash.network --rounds $(or $(ROUNDS),5)

bench-webrtc: setup ## over WebRTC only, again and again; PLAN=proof, start or load
	@$(BIN)/python -m benchmarks.webrtc --plan $(or $(PLAN),start)

bench-scale: setup ## what 100, 1,000 and 10,000 jobs cost; JOBS=, ACTIVE= choose others
	@$(BIN)/python -m benchmarks.scale --jobs $(or $(JOBS),100 1000 10000) --active $(or $(ACTIVE),10)

bench-events: setup ## a thousand listeners of one job: delay, CPU per event, memory
	@$(BIN)/python -m benchmarks.events

.PHONY: bench-library
bench-library: setup ## what 1,000, 10,000 and 100,000 films and series in the library cost; ITEMS= chooses others, CPU=1 on a busy machine
	@$(BIN)/python -m benchmarks.library --items $(or $(ITEMS),1000 10000 100000) $(if $(CPU),--cpu)

.PHONY: bench-http
bench-http: setup ## over http beside curl, wget and aria2, free and at 6 MB/s a connection; ROUNDS= SIZE= ONLY=
	@$(BIN)/python -m benchmarks.http --rounds $(or $(ROUNDS),5) $(if $(SIZE),--size-mib $(SIZE)) \
		$(if $(ONLY),--only $(ONLY))

bench-stream: setup ## watching a film while it arrives and after; ROUNDS= ONLY=http
	@$(BIN)/python -m benchmarks.stream --rounds $(or $(ROUNDS),3) $(if $(ONLY),--only $(ONLY))

.PHONY: siege
siege: setup ## hostile clients by the thousand beside a local user; ATTACKS= REQUESTS=1000000
	@$(BIN)/python -m lab.siege $(ATTACKS) $(if $(REQUESTS),--requests $(REQUESTS))

.PHONY: fuzz fuzz-api dead-magnets
fuzz: setup ## atheris on all that strangers can send us, for MINUTES in sum; TARGETS= chooses
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --group fuzz
	@$(BIN)/python -m lab.fuzz --minutes $(or $(MINUTES),30) $(TARGETS)

fuzz-api: setup ## the whole contract under schemathesis, REQUESTS of them
	@$(BIN)/python -m lab.fuzz.api --requests $(or $(REQUESTS),10000)

dead-magnets: setup ## DEAD magnets nobody has beside five films that live
	@$(BIN)/python -m lab.siege.magnets --dead $(or $(DEAD),1000)

.PHONY: mutants
mutants: setup ## change the code in small ways and see whether a test notices; MODULES= chooses
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --group mutants
	@$(BIN)/python -m lab.mutants $(MODULES)

.PHONY: filing-model filing-undo kodi
filing-model: setup ## RUNS random sequences of filing, undoing, kills and full disks against a model
	@$(BIN)/python -m lab.filing_model --runs $(or $(RUNS),10000) --seed $(or $(SEED),1)

filing-undo: setup ## file ITEMS, take all out again, compare every byte, inode and link count
	@$(BIN)/python -m lab.filing_model --undo $(or $(ITEMS),500)

kodi: setup ## Kodi (Debian's kodi and xvfb; root) reads 60 films and 5 series that we filed, from NFO alone
	@$(BIN)/python -m lab.kodi

.PHONY: library-kills
library-kills: setup ## kill a server TIMES between a completed job and a filed film
	@$(BIN)/python -m lab.library_kills $(or $(TIMES),300)

contract: setup ## write contracts/openapi.yaml and openapi.downloads.yaml from the code
	@$(BIN)/python -m chilly_movies.api.contract contracts/openapi.yaml

lock: setup ## renew constraints.txt from what is installed
	@$(BIN)/python -m pip freeze --exclude-editable | grep -v '^-e' > constraints.txt

clean: ## remove all that these made
	@rm -rf $(VENV) .demo build dist mutants
