package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each plant can still be put into the code: what it changes is there, once.
func TestPlantsApply(t *testing.T) {
	root := filepath.Join("..", "..")
	worlds := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == ".git" || d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		all, err := plants(path)
		if err != nil {
			t.Error(err)
		}
		for _, p := range all {
			if _, err := p.apply(root); err != nil {
				t.Errorf("%s: %v", p.path, err)
			}
		}
		worlds += min(len(all), 1)
		return nil
	})
	if err != nil || worlds == 0 {
		t.Fatal(worlds, "worlds with plants,", err)
	}
}

// The code of a module that has a world: it fails at seed 3 if 3 is not kept.
const (
	code = `package sample

func Keep(n int) bool {
	if n < 0 {
		return false
	}
	return n > 0
}

func Other() bool {
	return n()
}

func n() bool { return true }
`
	tests = `package sample

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

func TestSimulated(t *testing.T) {
	seeds, first := 5, 1
	if n, err := strconv.Atoi(os.Getenv("SIM_SEEDS")); err == nil {
		seeds = n
	}
	if n, err := strconv.Atoi(os.Getenv("SIM_FIRST")); err == nil {
		first = n
	}
	if os.Getenv("SIM_FIND") == "" {
		t.Fatal("a known case may fail")
	}
	fmt.Fprint(os.Stderr, t.Name(), ": seeds")
	for n := first; n < first+seeds && !t.Failed(); n++ {
		fmt.Fprint(os.Stderr, " ", n)
		if n == 3 && !Keep(n) || n == 7 && !Other() {
			t.Errorf("seed %d\n  it is not kept\n\nhistory", n)
		}
	}
	fmt.Fprintln(os.Stderr)
	t.Logf("%d seeds in no time", seeds)
}

func TestKeep(t *testing.T) {
	if !Keep(2) {
		t.Error("2 is lost")
	}
}

func TestKeepSkipped(t *testing.T) { t.Skip() }
`
	loses = `What is kept is lost.

diff --git a/sample.go b/sample.go
--- a/sample.go
+++ b/sample.go
@@ -3,5 +3,5 @@ func Keep(n int) bool {
-	return n > 0
+	return n > 3
 }
`
	late = `The other one is lost, which only seed 7 sees.

--- a/sample.go
+++ b/sample.go
@@
-	return n()
+	return !n()
`
)

// sample makes the module, and goes there.
func sample(t *testing.T, plants map[string]string) {
	t.Helper()
	files := map[string]string{"go.mod": "module sample\n\ngo 1.26\n", "sample.go": code, "sample_test.go": tests}
	for name, text := range plants {
		files["testdata/plants/"+name+".diff"] = text
	}
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("testdata/plants", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlantsAreFoundBySeeds(t *testing.T) {
	sample(t, map[string]string{"late": late, "loses": loses})
	for seeds, want := range map[int]string{
		0: "| The other one is lost, which only seed 7 sees. | **not found** | – |\n| What is kept is lost. | 3 | it is not kept |\n",
		7: "| The other one is lost, which only seed 7 sees. | 7 | it is not kept |\n| What is kept is lost. | 3 | it is not kept |\n",
	} {
		var out strings.Builder
		found, err := try(&out, []string{"."}, options{run: "^TestSimulated", seeds: seeds, timeout: time.Minute})
		if err != nil || found != (seeds == 7) {
			t.Errorf("%d seeds: found all: %v, %v", seeds, found, err)
		}
		if !strings.HasSuffix(out.String(), "|---|---|---|\n"+want) {
			t.Errorf("%d seeds: %s", seeds, out.String())
		}
	}
}

// Where no world can find a plant, it names a test.
func TestPlantsAreFoundByTests(t *testing.T) {
	for name, c := range map[string]struct {
		diff, want, err string
		found           bool
	}{
		"TestKeep":        {loses, "| – | TestKeep |\n", "", true},
		"TestKeepNever":   {loses, "", "TestKeepNever did not run", false},
		"TestKeepSkipped": {loses, "", "TestKeepSkipped did not run", false},
		"TestKeep#01":     {strings.Replace(loses, "n > 3", "n > 1", 1), "| **not found** | – |\n", "", false},
	} {
		name, _, _ := strings.Cut(name, "#")
		sample(t, map[string]string{"loses": strings.Replace(c.diff, "\n", "\ntest: "+name+"\n", 1)})
		var out strings.Builder
		found, err := try(&out, []string{"."}, options{run: "^TestSimulated", timeout: time.Minute})
		if found != c.found || (err != nil) != (c.err != "") || !strings.Contains(fmt.Sprint(err), c.err) || !strings.HasSuffix(out.String(), c.want) {
			t.Errorf("%s: %v, %v, %s", name, found, err, out.String())
		}
	}
}

// A world that fails by itself shows nothing.
func TestPlantsNeedAWorldThatPasses(t *testing.T) {
	sample(t, map[string]string{"loses": loses})
	if err := os.WriteFile("sample.go", []byte(strings.Replace(code, "n > 0", "n > 3", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := try(&strings.Builder{}, []string{"."}, options{run: "^TestSimulated", timeout: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "without a plant seed 3 fails: it is not kept") {
		t.Error(err)
	}
}

func TestAPlantThatDoesNotFitIsAnError(t *testing.T) {
	sample(t, nil)
	hunk := "What.\n\n--- a/sample.go\n+++ b/sample.go\n@@\n"
	for text, want := range map[string]string{
		hunk + "-\treturn n()\n+\treturn !n()\n":                "",
		hunk + "-\treturn m()\n+\treturn !n()\n":                "has these lines 0 times",
		hunk + "-return n()\n+return !n()\n":                    "has these lines 0 times", // whole lines
		hunk + "-}\n+\n":                                        "has these lines 2 times",
		hunk + "-\treturn n()\n+\treturn n()\n":                 "changes nothing",
		hunk + "+\treturn n()\n":                                "changes nothing",
		hunk + "return n()\n":                                   "is not of a diff",
		"What.\n":                                               "says nothing, or changes nothing",
		"What.\n@@\n-\treturn n()\n+\treturn !n()\n":            "changes nothing",
		"What.\n\nand more\n":                                   "before the first hunk",
		strings.ReplaceAll(hunk, "sample", "none") + "-a\n+b\n": "no such file",
	} {
		p, err := parse(text)
		if err == nil {
			_, err = p.apply(".")
		}
		if want == "" && err != nil || want != "" && !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
