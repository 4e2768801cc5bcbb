// Command mutants changes a package's code in small ways, one at a time, runs
// its tests against each change, and lists the changes that no test notices.
//
//	go run ./scripts/mutants [-run TestX] [-short] [-most 200] [-timeout 2m] ./auth ./kv
//	go run ./scripts/mutants -by ./trace/otlp ./internal/otlp
//	go run ./scripts/mutants -most 150 -from 4 ./auth >survived.txt
//	go run ./scripts/mutants -again survived.txt ./auth
//	go run ./scripts/mutants -errors ./kv ./kv/redis
//
// All changes of a package are compiled into one test binary, in which the
// environment variable MUTANT chooses one; the files on disk stay as they are
// (go test -overlay). A first run of each test without a change records which
// places it reaches; a change is tried with the tests that reach it. It counts
// as noticed when they fail or take much longer than they do without it.
//
// Servers that take long to start (internal/servertest) are started once, for all
// changes. A test that fails on a server that was used before gets new ones.
//
// With -errors it changes nothing, and lists the returns of errors that no test
// of these packages runs.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

func main() {
	var o options
	flag.StringVar(&o.run, "run", "", "run only the tests that match, as go test's -run")
	flag.BoolVar(&o.short, "short", false, "run the tests with -short")
	flag.IntVar(&o.most, "most", 0, "try at most so many mutants of a package, spread evenly; 0 means all")
	flag.IntVar(&o.from, "from", 0, "with -most, begin with another mutant, to try others")
	again := flag.String("again", "", "only the mutants that this output of an earlier run lists")
	flag.IntVar(&o.parallel, "p", 2, "how many run at the same time")
	flag.DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up on tests without a change after this time")
	flag.StringVar(&o.by, "by", "", "run the tests of this package, which uses the changed ones")
	returns := flag.Bool("errors", false, "list error returns that no test runs")
	flag.StringVar(&o.file, "file", "", "only mutants in files whose name contains this")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: mutants [flags] package...")
		os.Exit(2)
	}
	packages, err := load(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	if *returns {
		err := untested(os.Stdout, flag.Args(), packages, o)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(1)
		}
		return
	}
	if *again != "" {
		o.again, err = survivors(*again)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(1)
		}
	}
	failed := false
	for _, p := range packages {
		r, err := try(p, o)
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "mutants: %s: %v\n", p.ImportPath, err)
			continue
		}
		r.print(os.Stdout)
	}
	if failed {
		os.Exit(1)
	}
}

type options struct {
	run, file, by  string
	short          bool
	most, parallel int
	from           int
	again          map[string]bool // as mutant.String has them; nil: all
	timeout        time.Duration
}

// survivors reads what print wrote.
func survivors(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		all[strings.TrimSpace(line)] = true
	}
	return all, nil
}

// report is what became of one package's mutants.
type report struct {
	pkg      string
	all      int
	covered  int
	tried    int
	survived []mutant
	spoiled  []string // tests that fail without a change by now
}

func (r report) print(w *os.File) {
	for _, m := range r.survived {
		fmt.Fprintln(w, m)
	}
	if len(r.spoiled) > 0 {
		fmt.Fprintf(w, "# %s: these fail without a change at the end, and may have failed before for no other reason: %s\n", r.pkg, strings.Join(r.spoiled, " "))
	}
	noticed := r.tried - len(r.survived)
	fmt.Fprintf(w, "# %s: %d mutants, %d on covered lines, %d tried, %d noticed (%.0f %%)\n",
		r.pkg, r.all, r.covered, r.tried, noticed, 100*float64(noticed)/float64(max(r.tried, 1)))
}

// try builds the package with its mutants and runs the tests against each.
func try(p pkg, o options) (report, error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return report{}, err
	}
	defer os.RemoveAll(dir)
	mutants, files, err := mutate(p, o.file)
	if err != nil {
		return report{}, err
	}
	r := report{pkg: p.ImportPath, all: len(mutants)}
	if len(mutants) == 0 {
		return r, nil
	}
	tests, folder := p.ImportPath, p.Dir
	if o.by != "" {
		out, err := exec.Command("go", "list", "-f", "{{.Dir}}", o.by).Output()
		if err != nil {
			return r, fmt.Errorf("-by %s: %w", o.by, err)
		}
		tests, folder = o.by, strings.TrimSpace(string(out))
	}
	binary, err := files.Test(dir, tests)
	if err != nil || binary == "" {
		return r, err
	}
	suite := &suite{binary: binary, folder: folder, options: o}
	suite.kept, err = servertest.Keep()
	if err != nil {
		return r, err
	}
	if err := suite.measure(dir); err != nil {
		return r, err
	}
	covered := slices.DeleteFunc(mutants, func(m mutant) bool { return len(suite.reach[m.n]) == 0 })
	r.covered = len(covered)
	if o.again != nil {
		covered = slices.DeleteFunc(covered, func(m mutant) bool { return !o.again[m.String()] })
	}
	covered = spread(covered, o.most, o.from)
	r.tried = len(covered)

	var mu sync.Mutex
	var all sync.WaitGroup
	next := make(chan mutant)
	for range max(o.parallel, 1) {
		all.Go(func() {
			for m := range next {
				if suite.notices(m.n) {
					continue
				}
				mu.Lock()
				r.survived = append(r.survived, m)
				mu.Unlock()
			}
		})
	}
	for _, m := range covered {
		next <- m
	}
	close(next)
	all.Wait()
	r.spoiled = suite.spoiled()
	slices.SortFunc(r.survived, func(a, b mutant) int { return cmp.Compare(a.n, b.n) })
	return r, nil
}

// spread picks at most n of all, evenly, beginning with the one at from.
func spread(all []mutant, n, from int) []mutant {
	if n <= 0 || len(all) <= n {
		return all
	}
	picked := make([]mutant, n)
	for i := range picked {
		picked[i] = all[(i*len(all)/n+from)%len(all)]
	}
	return picked
}
