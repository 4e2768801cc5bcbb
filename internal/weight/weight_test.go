package weight

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite weight.txt")

const (
	module = "github.com/micro/go-platform"
	root   = "../.."
	file   = "weight.txt"
)

// core are the packages that import the standard library and nothing else of others.
var core = []string{"auth", "config", "db", "discovery", "event", "kv", "log", "metrics", "monitor", "router", "sync", "trace", "wrapper", "platform"}

// A pkg is what go list says about a package.
type pkg struct {
	ImportPath string
	Name       string
	Standard   bool
	Module     *struct{ Path string }
	Deps       []string
}

// A weight is what comes with a package.
type weight struct {
	foreign []string // packages of other modules
	own     []string // public packages of this module
}

func (w weight) String() string {
	if len(w.own) == 0 {
		return fmt.Sprint(len(w.foreign))
	}
	return fmt.Sprint(len(w.foreign), " ", strings.Join(w.own, " "))
}

func TestWeight(t *testing.T) {
	touch(t)
	all := list(t)
	got := map[string]string{}
	weights := map[string]weight{}
	for path, p := range all {
		if name, ok := public(path); ok && p.Name != "main" {
			weights[name] = weigh(p, all)
			got[name] = weights[name].String()
		}
	}
	for _, name := range core {
		if w := weights[name]; len(w.foreign) > 0 {
			t.Errorf("%s links %d third-party packages, want none: %s", name, len(w.foreign), strings.Join(w.foreign, ", "))
		}
	}
	if *update {
		write(t, got)
		return
	}
	want := read(t)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		switch was, ok := want[name]; {
		case !ok:
			t.Errorf("%s is new: got %q, want it in %s", name, got[name], file)
		case got[name] != was:
			t.Errorf("%s: got %q, want %q as in %s; third-party: %s", name, got[name], was, file, strings.Join(weights[name].foreign, ", "))
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is in %s but no longer exists", name, file)
	}
	if t.Failed() {
		t.Log(`if it is meant: go test ./internal/weight -update, and say why in the commit`)
	}
}

// public returns a package's name in the module if others can import it and have a reason to.
func public(path string) (name string, ok bool) {
	if path == module {
		return "platform", true
	}
	name, ok = strings.CutPrefix(path, module+"/")
	if !ok {
		return "", false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "internal" || part == "examples" || part != "test" && strings.HasSuffix(part, "test") {
			return "", false
		}
	}
	return name, true
}

func weigh(p pkg, all map[string]pkg) weight {
	var w weight
	for _, path := range p.Deps {
		dep := all[path]
		name, ok := public(path)
		switch {
		case ok:
			w.own = append(w.own, name)
		case !dep.Standard && (dep.Module == nil || dep.Module.Path != module):
			w.foreign = append(w.foreign, path)
		}
	}
	slices.Sort(w.own)
	slices.Sort(w.foreign)
	return w
}

// list returns every package of the module and whatever it links. A package that doesn't compile
// at the moment is not this test's concern.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	c := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Name,Standard,Module,Deps", "./...")
	c.Dir = root
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		all[p.ImportPath] = p
	}
}

// touch looks at every source file, so that go test knows what this test's result depends on.
func touch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".go" || d.Name() == "go.mod" {
			_, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's temporary file
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, weights map[string]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# package: third-party packages that it links, packages of ours that it links\n")
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		fmt.Fprintf(&b, "%s: %s\n", name, weights[name])
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	weights := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, weight, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			weights[name] = weight
		}
	}
	return weights
}
