//go:build unix

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table in VERSIONING.md")

// consumer is a program in a module of its own that imports some of our packages.
type consumer struct {
	name    string
	imports string   // as the table calls it
	third   []string // the third-party packages that it may link, by prefix
	source  string
	module  string // of the released ones, below the root
	listed  bool   // not compiled, since that takes minutes
}

var consumers = []consumer{
	{name: "kv", imports: "`kv`", source: `package main

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/kv"
)

func main() {
	store, err := kv.New()
	if err != nil {
		panic(err)
	}
	defer store.Close()
	ctx := context.Background()
	if _, err := store.Put(ctx, "a", []byte("1")); err != nil {
		panic(err)
	}
	item, err := store.Get(ctx, "a")
	fmt.Printf("%s %v\n", item.Value, err)
}
`},
	{name: "kvredis", imports: "`kv/redis`", third: []string{"github.com/redis/go-redis/v9", "github.com/cespare/xxhash/v2", "go.uber.org/atomic", "golang.org/x/sys/cpu"}, source: `package main

import (
	"fmt"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
)

func main() {
	_, err := kv.New(redis.Backend("127.0.0.1:1"))
	fmt.Println(err != nil)
}
`},
	{name: "wrapper", imports: "`wrapper`", source: `package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/micro/go-platform/wrapper"
)

func main() {
	w, err := wrapper.New(wrapper.WithName("greeter"))
	if err != nil {
		panic(err)
	}
	r := httptest.NewRecorder()
	w.Handler(http.NotFoundHandler()).ServeHTTP(r, httptest.NewRequest("GET", "/x", nil))
	fmt.Println(r.Code)
}
`},
	{name: "flags", imports: "`openfeature`", module: "/openfeature", third: []string{""}, source: `package main

import (
	"fmt"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/openfeature"
)

func main() {
	cfg, err := config.New()
	if err != nil {
		panic(err)
	}
	p, err := openfeature.New(cfg)
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Metadata().Name)
}
`},
	{name: "secrets", imports: "`config/sops`", module: "/config/sops", third: []string{""}, listed: true, source: `package main

import (
	"fmt"

	"github.com/micro/go-platform/config/sops"
)

func main() {
	_, err := sops.New("/etc/shop")
	fmt.Println(err)
}
`},
	{name: "micro", imports: "`wrapper/micro`", module: "/wrapper/micro", third: []string{""}, source: `package main

import (
	"fmt"

	"github.com/micro/go-platform/wrapper/micro"
)

func main() { fmt.Println(micro.Client != nil) }
`},
}

// TestConsumersBuildFromTheReleasedArchives makes the archives of a release out
// of the working tree, and builds and runs programs that require them from
// empty modules.
func TestConsumersBuildFromTheReleasedArchives(t *testing.T) {
	const version = "v0.99.0"
	proxy := t.TempDir()
	if err := write("../..", version, proxy); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "env", "GOPROXY", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	upstream, cache, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	proxies := "file://" + filepath.ToSlash(proxy) + ",file://" + filepath.ToSlash(filepath.Join(cache, "cache", "download")) + "," + upstream
	env := append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw -trimpath -ldflags=-w", "GONOSUMDB="+root+","+root+"/*",
		"GOPROXY="+proxies, "GOMODCACHE="+moduleCache(t, cache))
	t.Run("README", func(t *testing.T) { readme(t, env) })
	t.Run("command", func(t *testing.T) { command(t, env, version) })
	rows := map[string]string{}
	for _, c := range consumers {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			run := func(name string, args ...string) string {
				t.Helper()
				cmd := exec.Command(name, args...)
				cmd.Dir, cmd.Env = dir, env
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%s %q: %v\n%s", name, args, err, out)
				}
				return string(out)
			}
			if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(c.source), 0o600); err != nil {
				t.Fatal(err)
			}
			run("go", "mod", "init", "example.com/"+c.name)
			run("go", "mod", "edit", "-go=1.21") // whatever the consumer had, our floor is what it gets
			run("go", "get", root+c.module+"@"+version)
			out := ""
			if !c.listed {
				out = run("go", "run", ".")
			}
			linked := 0
			for _, p := range strings.Fields(run("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")) {
				if strings.HasPrefix(p, root) || strings.HasPrefix(p, "example.com/") {
					continue
				}
				linked++
				if !slices.ContainsFunc(c.third, func(prefix string) bool { return strings.HasPrefix(p, prefix) }) {
					t.Errorf("links %s", p)
				}
			}
			mod := struct {
				Go      string
				Require []struct{ Path, Version string }
			}{}
			if err := json.Unmarshal([]byte(run("go", "mod", "edit", "-json")), &mod); err != nil {
				t.Fatal(err)
			}
			if mod.Go != "1.26" && mod.Go != "1.26.0" {
				t.Errorf("the consumer's go directive became %s", mod.Go)
			}
			sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
			if err != nil {
				t.Fatal(err)
			}
			rows[c.name] = fmt.Sprintf("| %s | %d | %d | %d |\n", c.imports, len(mod.Require), strings.Count(string(sums), "\n"), linked)
			t.Logf("%s says %q", c.name, strings.TrimSpace(out))
		})
	}
	var table strings.Builder
	for _, c := range consumers {
		table.WriteString(rows[c.name])
	}
	tabled(t, "../../VERSIONING.md", table.String())
}

// command installs cmd/platform as docs/command.md says, and asks it what it is.
func command(t *testing.T, env []string, version string) {
	dir := t.TempDir()
	for _, line := range [][]string{
		{"go", "install", root + "/cmd/platform@" + version},
		{filepath.Join(dir, "platform"), "version"},
	} {
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Dir, cmd.Env = dir, append(env, "GOBIN="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", line, err, out)
		}
		if line[1] == "version" && !strings.HasPrefix(string(out), "platform "+version+", ") {
			t.Errorf("%q: got %q", line, out)
		}
	}
}

// tabled compares the rows of the table that follows a marker in a page, or
// writes them with -update.
func tabled(t *testing.T, page, rows string) {
	t.Helper()
	const begin, end = "<!-- consumers -->\n", "<!-- end -->"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no %s", page, begin)
	}
	const head = "| imports | requirements in go.mod | lines of go.sum | third-party packages linked |\n|---|---|---|---|\n"
	want := before + begin + head + rows + end + after
	switch {
	case want == string(b):
	case *update:
		err = os.WriteFile(page, []byte(want), 0o644)
	default:
		err = fmt.Errorf("what consumers get has changed; go test ./scripts/archive -update:\n%s", rows)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestReleaseTagsEveryModule runs scripts/release in a clone.
func TestReleaseTagsEveryModule(t *testing.T) {
	clone := filepath.Join(t.TempDir(), "clone")
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("git", append([]string{"-C", clone, "-c", "user.name=T", "-c", "user.email=t@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("git", "clone", "-q", "--shared", "--no-tags", abs(t, "../.."), clone).CombinedOutput(); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	git("config", "user.name", "T")
	git("config", "user.email", "t@example.com")
	release := func(version, check string) (string, error) {
		cmd := exec.Command("scripts/release", version)
		cmd.Dir, cmd.Env = clone, append(os.Environ(), "RELEASE_CHECK="+check)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	head := git("rev-parse", "HEAD")
	for _, c := range []struct{ version, check, says string }{
		{"1.2.3", "true", "usage"},
		{"v1.2", "true", "usage"},
		{"v1.2.3", "exit 1", ""}, // the archives are no good
	} {
		if out, err := release(c.version, c.check); err == nil || !strings.Contains(out, c.says) {
			t.Errorf("release %s with a check that says %q: %v\n%s", c.version, c.check, err, out)
		}
		if now, tags, dirty := git("rev-parse", "HEAD"), git("tag"), git("status", "--porcelain"); now != head || tags != "" || dirty != "" {
			t.Errorf("a refused release left commit %s, tags %q, changes %q", now, tags, dirty)
		}
	}
	if out, err := release("v1.2.3", "true"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if tags := git("tag"); tags != "config/sops/v1.2.3\nopenfeature/v1.2.3\nv1.2.3\nwrapper/micro/v1.2.3" {
		t.Errorf("tags %q", tags)
	}
	for _, m := range released[1:] {
		if mod := git("show", "v1.2.3:"+m+"/go.mod"); !strings.Contains(mod, root+" v1.2.3\n") {
			t.Errorf("%s requires another version of the root:\n%s", m, mod)
		}
	}
	if changes := git("show", "v1.2.3:CHANGELOG.md"); !strings.Contains(changes, "## Unreleased\n\n## 1.2.3 - ") {
		t.Errorf("the changelog says\n%.400s", changes)
	}
	if out, err := release("v1.2.3", "true"); err == nil || !strings.Contains(out, "exists") {
		t.Errorf("the same release again: %v\n%s", err, out)
	}
}

func abs(t *testing.T, path string) string {
	t.Helper()
	p, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(p)
}
