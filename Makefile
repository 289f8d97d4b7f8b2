# The front door. Every target is thin: what takes more than a few lines is a small program of its own.
# `make` alone prints the help; what a target needs is made first and nothing is done twice.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# A cluster is touched only when it is named (CLUSTER=…) or is the lab: never the one a shell happens to point at.
unexport KUBECONFIG K8S_AUTH_KUBECONFIG K8S_AUTH_CONTEXT K8S_AUTH_HOST K8S_AUTH_API_KEY K8S_AUTH_USERNAME \
	K8S_AUTH_PASSWORD K8S_AUTH_CERT_FILE K8S_AUTH_KEY_FILE K8S_AUTH_SSL_CA_CERT K8S_AUTH_VERIFY_SSL K8S_AUTH_PROXY \
	HELM_KUBECONTEXT HELM_KUBEAPISERVER HELM_KUBETOKEN HELM_NAMESPACE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m tests.run
CLUSTER ?=
IMAGE ?=
POSTGRESQL_IMAGE ?=
DURATION ?= 600
SEED ?=
LISTEN ?= 127.0.0.1:5000
ROOT ?= .cache/serve
ARGS ?=
SUITE ?=
SCENARIO ?= default
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHON

##@ Start here
.PHONY: help
help: ## Show this help.
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## Install into a real Kubernetes by Ansible, push an image, run it. CLUSTER=<kubeconfig> IMAGE=<image> uses yours.
	@CLUSTER="$(CLUSTER)" IMAGE="$(IMAGE)" POSTGRESQL_IMAGE="$(POSTGRESQL_IMAGE)" lab/demo up

.PHONY: demo-down
demo-down: setup ## Take the demo away again; without CLUSTER= the whole lab goes and the machine is as it was.
	@CLUSTER="$(CLUSTER)" IMAGE="$(IMAGE)" lab/demo down

.PHONY: serve
serve: setup ## Serve the registry alone, no cluster, no root. LISTEN=127.0.0.1:5000 ROOT=.cache/serve ARGS='--auth htpasswd:FILE'.
	@printf 'Registry on http://%s, data in %s; stop with Ctrl-C. Try: curl http://%s/v2/\n' "$(LISTEN)" "$(ROOT)" "$(LISTEN)"
	@exec $(BIN)/image-registry serve --root "$(ROOT)" --listen "$(LISTEN)" $(ARGS)

##@ Lab
.PHONY: lab
lab: ## Start a real Kubernetes on this machine (root; ten minutes the first time, seconds later). ARGS='--node n2'.
	@lab/lab up $(ARGS)

.PHONY: lab-down
lab-down: ## Stop it and leave nothing of it behind; its data stays. ARGS=--purge removes that too.
	@lab/lab down $(ARGS)

.PHONY: legacy
legacy: ## A legacy registry in the lab, filled and used by workloads. ARGS='--variant 4.2-pvc'; `lab/lab legacy list`.
	@lab/lab legacy up $(ARGS)

.PHONY: legacy-down
legacy-down: ## Take the legacy registry away, with everything that came with it.
	@lab/lab legacy down

##@ Tools
.PHONY: setup
setup: $(VENV)/.complete ## Make .venv with image-registry, ac and the Ansible tools, pinned and checked by hash.
$(VENV)/.complete: requirements/dev.lock requirements/make-venv app/pyproject.toml
	@requirements/make-venv $(VENV)

.PHONY: lock
lock: ## Resolve the lock files anew. ARGS=--upgrade takes the newest versions.
	@requirements/make-locks $(ARGS)

.PHONY: collection
collection: setup ## Build the Ansible collection's archive in build/, with the charts in it.
	@$(BIN)/python collections/build.py build

##@ Tests
.PHONY: test
test: setup ## Every gate, in the order that fails early; the last lines are a table of steps. ARGS=--keep-going runs on.
	@$(RUN) all $(ARGS)

.PHONY: test-fast
test-fast: setup ## What to run at each edit: ruff, mypy, import-linter and the fast unit tests, within a minute.
	@$(RUN) fast $(ARGS)

.PHONY: lint
lint: setup ## Every linter: ruff, mypy, import-linter, yamllint, changelog fragments, documents of the collection.
	@$(RUN) lint $(ARGS)

.PHONY: test-unit
test-unit: setup ## Unit and contract tests of the app, tests of the documentation.
	@$(RUN) unit $(ARGS)

.PHONY: test-faults
test-faults: setup ## Kill the registry at every write step, and restart two replicas under load: nothing wrong, nothing lost.
	@$(RUN) faults $(ARGS)

.PHONY: test-charts
test-charts: setup ## Chart: lint, schema, renders, objects.
	@$(RUN) charts $(ARGS)

.PHONY: test-operator
test-operator: setup ## The operator and its objects against a real kube-apiserver, without nodes and without root.
	@$(RUN) operator $(ARGS)

.PHONY: test-operator-cluster
test-operator-cluster: setup ## The operator's walk through a whole cluster, in a lab that begins and ends empty. Needs root.
	@$(RUN) operator-cluster $(ARGS)

.PHONY: test-clients
test-clients: setup ## Real clients (skopeo, crane, podman, buildah, curl, CNCF distribution) against image-registry serve.
	@$(RUN) clients $(ARGS)

.PHONY: test-stores
test-stores: setup ## Every kind of storage on a real server: S3, Google Cloud Storage, Azure, Swift. Needs Go and npm.
	@$(RUN) stores $(ARGS)

.PHONY: conformance
conformance: setup ## The rules of the OCI distribution protocol, each a test. SUITE=<executable> runs an official suite; ARGS=--lab.
	@$(BIN)/python -m tests.conformance $(if $(SUITE),--suite "$(SUITE)") $(ARGS)

.PHONY: client-matrix
client-matrix: setup ## Ten clients, nine operations, one table; a red cell fails. ARGS='-o json', ARGS=--cluster in the lab.
	@lab/lab build helm crane regctl oras-go >&2
	@PYTHONPATH=lab $(BIN)/python -m tests.clients.print_matrix $(ARGS)

.PHONY: test-stores-long
test-stores-long: setup ## The same, and every stop of a push on each of them.
	@$(RUN) stores-long $(ARGS)

.PHONY: test-migration
test-migration: setup ## Migrations by the playbooks: variants, killed and taken back in every phase; says how long each takes.
	@$(RUN) migration $(ARGS)

.PHONY: test-collection
test-collection: setup ## The Ansible collection: unit tests of modules and roles, ansible-test sanity.
	@$(RUN) collection $(ARGS)

.PHONY: test-cluster
test-cluster: setup ## Every promise of an installation, in a lab that begins empty and is left running. Needs root.
	@$(RUN) cluster $(ARGS)

.PHONY: molecule
molecule: setup ## A molecule scenario of the collection, on the lab, offline; SCENARIO=all is each of them. Needs root.
	@$(RUN) molecule-$(SCENARIO) $(ARGS)

.PHONY: fuzz
fuzz: setup ## Throw malformed requests and raw bytes at a served registry. DURATION=600 SEED=…
	@PYTHONPATH=lab $(BIN)/python -m tests.security.fuzz --duration $(DURATION) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: soak
soak: setup ## Clients that never rest beside a collector that never rests and is killed at times. DURATION=600 SEED=…
	@PYTHONPATH=lab $(BIN)/python -m tests.soak --duration $(DURATION) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: bench
bench: setup ## Measure image-registry serve beside CNCF distribution and nginx. ARGS='--short --peer NAME=URL -o json'.
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-api
bench-api: setup ## Measure the Image API with 100,000 Images and 200,000 tags in PostgreSQL. ARGS='--tags 20000 … -o json'.
	@$(BIN)/python -m benchmarks.api $(ARGS)

.PHONY: bench-mirror
bench-mirror: setup ## Measure copying images beside `skopeo sync` and `crane copy`. ARGS='--repeats 5 --only ac -o json'.
	@$(BIN)/python -m benchmarks.mirror $(ARGS)

.PHONY: bench-migration
bench-migration: setup ## Measure the data of a migration: survey, reuse, copies beside skopeo and crane. ARGS='--short --only reuse -o json'.
	@$(BIN)/python -m benchmarks.migration $(ARGS)

.PHONY: bench-garbage
bench-garbage: setup ## Time the search for garbage beside CNCF distribution's, on one tree. ARGS='--manifests 1000 -o json'.
	@$(BIN)/python -m benchmarks.garbage $(ARGS)

.PHONY: bench-operator
bench-operator: setup ## What the operator costs at rest: processor, memory, requests by verb. ARGS='--seconds 120'.
	@PYTHONPATH=lab $(BIN)/python -m tests.operator.idle $(ARGS)

.PHONY: bench-pull-secrets
bench-pull-secrets: setup ## Measure pull Secrets of 5,000 ServiceAccounts with a real kube-apiserver. ARGS='--namespaces 50 --rate 200'.
	@PYTHONPATH=lab $(BIN)/python -m benchmarks.pull_secrets $(ARGS)

##@ Housekeeping
.PHONY: docs
docs: setup ## Write anew what is generated: values, variables, CRD, options of the role, security cases, parity, ac, reports.
	@$(BIN)/python charts/document_values.py
	@$(BIN)/python charts/derive_schemas.py
	@$(BIN)/python collections/document_roles.py
	@$(BIN)/python -m tests.security.cases
	@$(BIN)/python -m tests.docs.parity
	@$(BIN)/python -m tests.docs.ac_reference
	@$(BIN)/python -m tests.docs.migration_reports

.PHONY: bundle
bundle: setup ## Make the operator's OLM bundle anew from its chart. Needs helm: lab/lab build helm.
	@$(BIN)/python charts/derive_bundle.py

.PHONY: changelog
changelog: setup ## Turn the fragments into CHANGELOG.md for a release. VERSION=2.0.0
	@$(BIN)/antsibull-changelog release --version "$(VERSION)"

.PHONY: clean
clean: ## Remove caches, builds and .venv of this tree (the cache of compiled programs is not touched).
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .ansible .cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} + ; rm -rf app/src/*.egg-info
