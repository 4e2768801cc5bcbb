// Command plants puts faults into the code on purpose, one at a time, and says which seed of
// the package's simulated world finds each.
//
//	go run ./scripts/plants ./discovery ./sync
//	go run ./scripts/plants -only kept -seeds 5000 ./discovery
//
// A plant is a file testdata/plants/NAME.diff of the world's package: a line that says what is
// broken, and a diff, as git diff writes it. Its line numbers are not read; the lines that it
// replaces must stand in the code exactly once. It is found by a seed that fails with it and passes
// without it, among those that CI plays or the first -seeds. Known cases do not count. Where no world can
// find it, because servers of other people's are part of it, a second line names a test: "test: TestX".
//
// The files on disk stay as they are (go test -overlay). What it prints is a table in Markdown.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/scripts/internal/overlay"
)

type options struct {
	run, only string
	seeds     int
	timeout   time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.run, "run", "^TestSimulated", "the worlds, as go test's -run")
	flag.StringVar(&o.only, "only", "", "only plants whose name contains this")
	flag.IntVar(&o.seeds, "seeds", 0, "play so many seeds; 0 means those that CI plays")
	flag.DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up on a run after this time: the plant hangs it")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: plants [flags] package...")
		os.Exit(2)
	}
	all, err := try(os.Stdout, flag.Args(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "plants:", err)
		os.Exit(1)
	}
	if !all {
		os.Exit(1)
	}
}

// try plays the worlds of the packages, and reports whether all plants are found.
func try(out io.Writer, patterns []string, o options) (bool, error) {
	root, err := list("-m", "-f", "{{.Dir}}")
	if err != nil {
		return false, err
	}
	packages, err := list(append([]string{"-f", "{{.Dir}}"}, patterns...)...)
	if err != nil {
		return false, err
	}
	found := true
	for _, dir := range packages {
		all, err := plants(dir)
		if err != nil {
			return false, err
		}
		if len(all) == 0 {
			continue
		}
		ok, err := tryAll(out, root[0], dir, all, o)
		if err != nil {
			return false, fmt.Errorf("%s: %w", dir, err)
		}
		found = found && ok
	}
	return found, nil
}

func list(args ...string) ([]string, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.Fields(string(out)), err
}

// tryAll plays the world in a folder with each plant.
func tryAll(out io.Writer, root, dir string, all []plant, o options) (bool, error) {
	well, end, err := build(dir, nil, o)
	if err != nil {
		return false, err
	}
	defer end()
	name, err := filepath.Rel(root, dir)
	if err != nil {
		return false, err
	}
	figures := "tests on real servers"
	if slices.ContainsFunc(all, func(p plant) bool { return p.test == "" }) {
		r, err := well.play(o.env()...)
		if err != nil {
			return false, err
		}
		if r.failed {
			return false, fmt.Errorf("without a plant seed %s fails: %s", r.seed, r.why)
		}
		figures = r.figures
	}
	fmt.Fprintf(out, "\n%s: %s\n\n| plant | seed | found by |\n|---|---|---|\n", name, figures)
	found := true
	for _, p := range all {
		if !strings.Contains(p.name(), o.only) {
			continue
		}
		seed, why, err := p.find(root, dir, well, o)
		if err != nil {
			return false, fmt.Errorf("%s: %w", p.name(), err)
		}
		if seed == "" {
			seed, why, found = "**not found**", "–", false
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", p.what, seed, strings.ReplaceAll(why, "|", "\\|"))
	}
	return found, nil
}

// find returns the first seed that fails with the plant, and why.
func (p plant) find(root, dir string, well world, o options) (seed, why string, err error) {
	files, err := p.apply(root)
	if err != nil {
		return "", "", err
	}
	ill, end, err := build(dir, files, o)
	if err != nil {
		return "", "", err
	}
	defer end()
	if p.test != "" {
		return p.findByTest(well, ill)
	}
	r, err := ill.play(o.env()...)
	if err != nil || !r.failed {
		return "", "", err
	}
	without, err := well.play("SIM_FIRST="+r.seed, "SIM_SEEDS=1")
	if err != nil {
		return "", "", err
	}
	if without.failed {
		return "", "", fmt.Errorf("seed %s fails without it, too: %s", r.seed, without.why)
	}
	return r.seed, r.why, nil
}

// findByTest is find for a plant that names its test.
func (p plant) findByTest(well, ill world) (seed, why string, err error) {
	failed, err := well.test(p.test)
	if err == nil && failed {
		err = fmt.Errorf("%s fails without it, too", p.test)
	}
	if err == nil {
		failed, err = ill.test(p.test)
	}
	if err != nil || !failed {
		return "", "", err
	}
	return "–", p.test, nil
}

// env says how many seeds are played.
func (o options) env() []string {
	if o.seeds == 0 {
		return nil
	}
	return []string{fmt.Sprintf("SIM_SEEDS=%d", o.seeds)}
}

// build builds the tests of a folder. end removes them.
func build(folder string, files overlay.Files, o options) (w world, end func(), err error) {
	dir, err := os.MkdirTemp("", "plants")
	if err != nil {
		return world{}, nil, err
	}
	end = func() { _ = os.RemoveAll(dir) }
	binary, err := files.Test(dir, folder)
	if err == nil && binary == "" {
		err = fmt.Errorf("no tests")
	}
	if err != nil {
		end()
		return world{}, nil, err
	}
	return world{binary, folder, o}, end, nil
}
