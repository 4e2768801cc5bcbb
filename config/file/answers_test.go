package file_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/file"
	"github.com/micro/go-platform/config/toml"
	"github.com/micro/go-platform/config/yaml"
)

// read opens a source and reads it once.
func read(t *testing.T, s config.Source) (config.Content, error) {
	t.Helper()
	must(t, s.(config.Opener).Open(t.Context()))
	return s.Read(t.Context())
}

// Which format a file takes, by its name and the formats that were given.
func TestTheFormatOfAFile(t *testing.T) {
	dir := t.TempDir()
	one := []file.Option{file.WithFormat(yaml.Format{})}
	both := append(one, file.WithFormat(toml.Format{}))
	for _, c := range []struct {
		name, text string
		opts       []file.Option
		want       string // in the error; "": n is 1
	}{
		{"a.json", `{"n":1}`, nil, ""},
		{"a.JSON", `{"n":1}`, nil, ""},
		{"a", `{"n":1}`, nil, ""},
		{"a.yaml", "n: 1", one, ""},
		{"a.YML", "n: 1", one, ""},
		{"a.conf", "n: 1", one, ""}, // the only one that was given
		{"a", "n: 1", one, ""},
		{"a.json", `{"n":1}`, one, ""},
		{"a.toml", "n = 1", both, ""},
		{"a.conf", "n: 1", both, `no format has the extension ".conf"`},
		{"a", "n: 1", both, `no format has the extension ""`},
		{"a.conf", "n: 1", nil, `no format has the extension ".conf"`},
		{"a.toml", "n = 1", nil, `config/toml"`},
		{"a.yml", "n: 1", nil, `config/yaml"`},
	} {
		path := filepath.Join(dir, c.name)
		write(t, path, c.text)
		cfg, err := config.New(config.WithSource(file.Source(path, c.opts...)))
		if err == nil {
			if n := cfg.Get("n").Int(0); c.want == "" && n != 1 {
				t.Errorf("%s: n = %d", c.name, n)
			}
			cfg.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %d formats: %v, want %q", c.name, len(c.opts), err, c.want)
		}
	}
}

// An extension that nobody has is an error of the opening, even of a file that
// is not there yet; a name without one may be a directory.
func TestABadNameFailsTheOpening(t *testing.T) {
	for path, want := range map[string]string{
		"a.hcl":        `no format has the extension ".hcl"`,
		"a.json\x00":   "path",
		"":             "path",
		"a.json":       "",
		"a":            "",
		"some.d/conf/": "",
	} {
		s := file.Source(path)
		err := s.(config.Opener).Open(t.Context())
		if want == "" && err != nil || want != "" && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
}

func TestARelativePathIsOneOfTheBeginning(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app.json"), `{"n":1}`)
	t.Chdir(dir)
	s := file.Source("app.json")
	must(t, s.(config.Opener).Open(t.Context()))
	t.Chdir(t.TempDir())
	c, err := s.Read(t.Context())
	if err != nil || len(c.Parts) != 1 || string(c.Parts[0].Data) != `{"n":1}` {
		t.Errorf("after a change of the directory: %v, %v", c, err)
	}
}

// What can't be read has an error of its own kind.
func TestWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "below", "a.json"), 0o755)) // a directory of that name
	must(t, os.Mkdir(filepath.Join(dir, "dangling"), 0o755))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling", "a.json")))
	must(t, os.Mkdir(filepath.Join(dir, "socket"), 0o755))
	socket, err := net.Listen("unix", filepath.Join(dir, "socket", "a.json"))
	must(t, err)
	defer socket.Close()
	must(t, os.Symlink("/dev/null", filepath.Join(dir, "device.json")))
	for name, want := range map[string]struct {
		kind error
		text string
	}{
		"none.json":   {config.ErrNotFound, "no such file"},
		"file/a.json": {config.ErrUnavailable, "not a directory"},
		"empty":       {config.ErrNotFound, "no file in the directory"},
		"below":       {config.ErrNotFound, "no file in the directory"},
		"dangling":    {config.ErrNotFound, "a.json: "},
		"socket":      {config.ErrUnavailable, "a.json: "},
		"device.json": {config.ErrInvalid, "not a regular file"},
	} {
		c, err := read(t, file.Source(filepath.Join(dir, name)))
		if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) || len(c.Parts) > 0 || c.Revision != "" {
			t.Errorf("%s: %v, %v, want %v with %q", name, c, err, want.kind, want.text)
		}
	}
}

// A directory is read part by part, until nobody waits for it.
func TestADirectoryThatNobodyWaitsFor(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.json"), `{"n":1}`)
	s := file.Source(dir)
	must(t, s.(config.Opener).Open(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	if c, err := s.Read(ctx); err != nil || len(c.Parts) != 1 || c.Parts[0].Name != "a.json" {
		t.Errorf("%v, %v", c, err)
	}
	cancel()
	if _, err := s.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("read of nobody: %v", err)
	}
}

// The revision is that of names and contents together.
func TestTheRevisionOfADirectory(t *testing.T) {
	seen := map[string]string{}
	for _, files := range []map[string]string{
		{"a.json": "1", "b.json": "2"}, {"a.json": "12", "b.json": ""}, {"a.json": "2", "b.json": "1"}, {"a.json": "1", "c.json": "2"},
	} {
		dir := t.TempDir()
		for name, text := range files {
			write(t, filepath.Join(dir, name), text)
		}
		c, err := read(t, file.Source(dir))
		must(t, err)
		if other, ok := seen[c.Revision]; ok {
			t.Errorf("%v has the revision of %s", files, other)
		}
		seen[c.Revision] = dir
		again, err := read(t, file.Source(dir))
		if err != nil || again.Revision != c.Revision {
			t.Errorf("read twice: %v, %v, want %s", again.Revision, err, c.Revision)
		}
	}
}

// Where the system's notices don't arrive, the interval is enough: a change of
// a file through another name is noticed nowhere near it.
func TestTheIntervalSeesWhatNoNoticeSays(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	path, other := filepath.Join(here, "app.json"), filepath.Join(there, "other.json")
	write(t, path, `{"n":1}`)
	must(t, os.Link(path, other))
	c := open(t, file.Source(path, file.WithInterval(20*time.Millisecond)))
	for n := 2; n <= 4; n++ {
		write(t, other, `{"n":`+string(rune('0'+n))+`}`)
		seen(t, "change by another name", func() bool { return c.Get("n").Int(0) == n })
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	write(t, path, `{"n":1}`)
	s := file.Source(path)
	must(t, s.(config.Opener).Open(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	delivered := 0
	err := s.(config.Watcher).Watch(ctx, func(c config.Content, err error) {
		if err != nil || len(c.Parts) != 1 {
			t.Errorf("delivered %v, %v", c, err)
		}
		delivered++
		cancel()
	})
	if !errors.Is(err, context.Canceled) || delivered != 1 {
		t.Errorf("Watch = %v after %d", err, delivered)
	}
}
