# swift-hotpatch. `make` lists what there is to make.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build demo test test-arm64 prove-arm64 prove prove-calls torture fuzz matrix prove-watch prove-hotlink sdk-arm64 sanitize format lint resilient-types bench docs install clean

PACKAGES := libelf-dev libdw-dev libbz2-dev libcapstone-dev libunicorn-dev pkg-config gcc g++ binutils curl musl-tools libc6-dev-arm64-cross cpio

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what is missing (apt), or say what to install
	@command -v swift >/dev/null || { echo "error: no swift on the PATH. Install a Swift 6 toolchain (https://www.swift.org/install)."; exit 1; }
	@missing=; pkg-config --exists libelf libdw capstone unicorn 2>/dev/null || missing=yes; \
	for tool in gcc g++ objcopy curl musl-gcc cpio; do command -v $$tool >/dev/null || missing=yes; done; \
	[ -d /usr/aarch64-linux-gnu/include ] || missing=yes; \
	[ -z "$$missing" ] && exit 0; \
	echo "installing: $(PACKAGES)"; \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else \
	    echo "error: these packages are missing and this user may not install them. Ask for: apt-get install $(PACKAGES)"; exit 1; fi; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq $(PACKAGES) >/dev/null

sdk-arm64: setup ## Make the SDK that builds for arm64 (in the user's cache, 400 MB)
	@Tests/arm64/sdk.sh .sdk-arm64

build: setup ## Build everything, debug
	swift build

demo: setup ## Patch a running HTTP server, see its state kept, revert
	swift build --product swift-hotpatch
	Sources/LiveServer/demo.sh "$$(swift build --show-bin-path)"

test: setup lint ## Run all tests, arm64's too; the last line has the totals
	@Tests/run.sh

test-arm64: sdk-arm64 ## Run the arm64 tests under emulation
	@Tests/arm64/test.sh

prove-arm64: sdk-arm64 ## The same at length: 20,000 programs, all scenarios, more kernels and processors
	@LONG=yes PROGRAMS=20000 Tests/arm64/test.sh

prove: setup ## Move every function of a corpus, x86_64 and arm64, and run it against the original; scenarios in every way; the installed command: SEED=1 LIMIT=0 ARCH= FILES=
	@Tests/Prove/prove.sh
	@Tests/installed.sh
	HOTPATCH_MATRIX=yes swift test --filter ScenarioTests

prove-calls: setup ## Call random Swift functions through adapters: SIGNATURES=5000 SEED=1, in every combination of -Onone and -O
	@LONG=yes SIGNATURES=$(or $(SIGNATURES),5000) SEED=$(or $(SEED),1) Tests/calls/test.sh

torture: setup ## Do to patched processes what they must not be harmed by, at length: ROWS="31 lies" SEED=1
	@Tests/torture.sh $(if $(SEED),--seed $(SEED)) $(if $(TABLE),--table) $(ROWS)

fuzz: setup ## Link objects that no compiler has made, or load libraries that no linker has: WHAT=libraries SEED= SECONDS=60 INPUTS=A-B KEEP=
	@Tests/fuzz.sh $(WHAT) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(INPUTS),--inputs $(INPUTS)) $(if $(KEEP),--keep $(KEEP))

matrix: setup ## Try every edit: SEED= EDITS=100 TABLE=yes ROWS="closures"
	@Tests/matrix.sh $(if $(SEED),--seed $(SEED)) $(if $(EDITS),--edits $(EDITS)) $(if $(TABLE),--table) $(ROWS)

prove-watch: setup ## Watch real programs being edited, and measure: LONG=yes WORK=folder PROGRAMS='"makefile c"' SEED=1 EDITS=9
	@SEED=$(SEED) EDITS=$(EDITS) LONG=$(LONG) WORK=$(WORK) Tests/watch.sh $(PROGRAMS)

prove-hotlink: setup ## Apply the objects of edited sources to real programs by hand: WORK=folder PROGRAMS='"hotlink nio"' SEED=1
	@SEED=$(SEED) WORK=$(WORK) Tests/watch.sh --hotlink $(PROGRAMS)

# Undefined behaviour in C traps: the Swift compiler knows no such sanitizer here. The suites that patch or look up libc's
# functions are left out: the sanitizers have their own of those. So are stacks that are unwound at every instruction: the
# sanitizers' code cannot be.
PURE := CPatchCoreTests|PatchPlanTests|EngineTests|SymbolsTests|SwiftCallTests
SANITIZED := --sanitize=address -Xcc -fsanitize=undefined -Xcc -fsanitize-trap=undefined --scratch-path .build-asan
sanitize: setup ## Run what parses and computes under AddressSanitizer, with traps for undefined behaviour in C, and the fuzzer: SECONDS=60
	ASAN_OPTIONS=detect_leaks=0 swift test $(SANITIZED) --filter "$(PURE)" --skip LookupTests --skip CallTests/unwinding
	swift build $(SANITIZED) --product HotpatchFuzz
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 .build-asan/debug/HotpatchFuzz --seconds $(or $(SECONDS),60)

lint: ## Check the format
	swift format lint --strict --recursive --parallel Package.swift Sources Tests $(wildcard Benchmarks)

format: ## Put the sources in shape
	swift format format --in-place --recursive --parallel Package.swift Sources Tests $(wildcard Benchmarks)

resilient-types: ## List the toolchain's resilient types anew (Sources/HotpatchSwiftCall/ResilientTypes.swift)
	@Tests/resilient-types.sh

bench: setup ## Measure; ratios in one run: BASE=commit beside it, STEP=build, STEP=measure
	@BASE="$(BASE)" STEP="$(STEP)" Benchmarks/run.sh

docs: setup ## Build the documentation, into .build/docs
	swift build --target HotpatchTesting
	Tests/docs.sh build .build/docs

PREFIX ?= /usr/local
to := $(DESTDIR)$(PREFIX)
install: setup ## Install the command, its manual page and completions below PREFIX (/usr/local)
	@built=$$(Sources/swift-hotpatch/build.sh) && install -D "$$built" "$(to)/bin/swift-hotpatch" && \
	install -D -m 644 CPatch/hotpatch.h "$(to)/include/hotpatch.h" && \
	install -d "$(to)/share/man/man1" "$(to)/share/bash-completion/completions" "$(to)/share/zsh/site-functions" \
	    "$(to)/share/fish/vendor_completions.d" && \
	Sources/swift-hotpatch/manual.sh "$$built" >"$(to)/share/man/man1/swift-hotpatch.1" && \
	"$$built" --generate-completion-script bash >"$(to)/share/bash-completion/completions/swift-hotpatch" && \
	"$$built" --generate-completion-script zsh >"$(to)/share/zsh/site-functions/_swift-hotpatch" && \
	"$$built" --generate-completion-script fish >"$(to)/share/fish/vendor_completions.d/swift-hotpatch.fish"

clean: ## Remove what was built
	rm -rf .build .build-* Benchmarks/.build
