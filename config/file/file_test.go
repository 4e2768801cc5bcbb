package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/file"
	"github.com/micro/go-platform/config/toml"
	"github.com/micro/go-platform/config/yaml"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestFileSourceConforms(t *testing.T) {
	configtest.Run(t, func(t *testing.T) configtest.Harness {
		path := filepath.Join(t.TempDir(), "app.json")
		return configtest.Harness{
			Source: func() config.Source { return file.Source(path) },
			Set:    func(doc string) { write(t, path, doc) },
			Delete: func() { must(t, os.Remove(path)) },
		}
	})
}

func TestDirectorySourceConforms(t *testing.T) {
	configtest.Run(t, func(t *testing.T) configtest.Harness {
		dir := t.TempDir()
		path := filepath.Join(dir, "10-app.json")
		return configtest.Harness{
			Source: func() config.Source { return file.Source(dir) },
			Set:    func(doc string) { write(t, path, doc) },
			Delete: func() { must(t, os.Remove(path)) },
		}
	})
}

func TestFileWithoutNoticesIsStillFollowed(t *testing.T) {
	configtest.Run(t, func(t *testing.T) configtest.Harness {
		path := filepath.Join(t.TempDir(), "app.json")
		return configtest.Harness{
			Source:  func() config.Source { return unwatched{file.Source(path)} },
			Set:     func(doc string) { write(t, path, doc) },
			Delete:  func() { must(t, os.Remove(path)) },
			Options: []config.SourceOption{config.Poll(10 * time.Millisecond)},
		}
	})
}

// unwatched hides a source's Watch.
type unwatched struct{ config.Source }

func (u unwatched) Open(ctx context.Context) error { return u.Source.(config.Opener).Open(ctx) }

func TestEditorsRenameOverTheFileIsSeenEachTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.json")
	write(t, path, `{"n":0}`)
	c := open(t, file.Source(path, file.WithInterval(time.Hour)))
	for n := 1; n <= 5; n++ {
		tmp := filepath.Join(dir, ".app.json.swp")
		write(t, tmp, `{"n":`+string(rune('0'+n))+`}`)
		must(t, os.Rename(tmp, path))
		seen(t, "rename", func() bool { return c.Get("n").Int(-1) == n })
	}
}

func TestFileThatIsDeletedAndCreatedAnewIsSeen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "conf")
	path := filepath.Join(dir, "app.json")
	must(t, os.Mkdir(dir, 0o755))
	write(t, path, `{"n":1}`)
	c := open(t, file.Source(path, file.WithInterval(time.Hour)))
	for n := 2; n <= 4; n++ {
		must(t, os.RemoveAll(dir)) // the directory too
		seen(t, "deletion", func() bool { return errors.Is(c.Health().Sources[0].Err, config.ErrNotFound) })
		if got := c.Get("n").Int(0); got != n-1 {
			t.Fatalf("n while the file is gone: got %d, want %d", got, n-1)
		}
		must(t, os.Mkdir(dir, 0o755))
		write(t, path, `{"n":`+string(rune('0'+n))+`}`)
		seen(t, "creation", func() bool { return c.Get("n").Int(0) == n })
	}
}

func TestKubernetesDataSwapIsSeenEachTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.json")
	swap := func(n int) {
		data := filepath.Join(dir, "..2026_"+string(rune('0'+n)))
		must(t, os.Mkdir(data, 0o755))
		write(t, filepath.Join(data, "app.json"), `{"n":`+string(rune('0'+n))+`}`)
		old, _ := os.Readlink(filepath.Join(dir, "..data"))
		must(t, os.Symlink(filepath.Base(data), filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if old != "" {
			must(t, os.RemoveAll(filepath.Join(dir, old)))
		}
	}
	swap(1)
	must(t, os.Symlink("..data/app.json", path))
	for _, watched := range []string{path, dir} { // the file, and the directory as a whole
		t.Run(filepath.Base(watched), func(t *testing.T) {
			c := open(t, file.Source(watched, file.WithInterval(time.Hour)))
			start := c.Get("n").Int(0)
			for n := start + 1; n <= start+3; n++ {
				swap(n)
				seen(t, "swap", func() bool { return c.Get("n").Int(0) == n && c.Health().OK })
			}
		})
	}
}

func TestSwapOfALinkInTheMiddleOfThePathIsSeen(t *testing.T) {
	root := t.TempDir()
	for _, v := range []string{"1", "2", "3"} {
		must(t, os.MkdirAll(filepath.Join(root, "releases", v, "etc"), 0o755))
		write(t, filepath.Join(root, "releases", v, "etc", "app.json"), `{"n":`+v+`}`)
	}
	link := func(v string) {
		must(t, os.Symlink(filepath.Join("releases", v), filepath.Join(root, "next")))
		must(t, os.Rename(filepath.Join(root, "next"), filepath.Join(root, "current")))
	}
	link("1")
	c := open(t, file.Source(filepath.Join(root, "current", "etc", "app.json"), file.WithInterval(time.Hour)))
	for n, v := range []string{"1", "2", "3"} {
		if n > 0 {
			link(v)
		}
		seen(t, "link", func() bool { return c.Get("n").Int(0) == n+1 })
	}
}

func TestTruncatedFileKeepsTheValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	write(t, path, `{"n":1}`)
	c := open(t, file.Source(path))
	write(t, path, "")
	seen(t, "truncation", func() bool { return errors.Is(c.Health().Sources[0].Err, config.ErrInvalid) })
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n of the truncated file: got %d, want 1", got)
	}
	write(t, path, `{"n":2}`)
	seen(t, "content", func() bool { return c.Get("n").Int(0) == 2 })
}

func TestFileOfTenMegabytesIsRefusedAndTheValuesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	write(t, path, `{"n":1}`)
	c := open(t, file.Source(path))
	write(t, path, `{"n":2,"big":"`+strings.Repeat("x", 10<<20)+`"}`)
	seen(t, "refusal", func() bool { return errors.Is(c.Health().Sources[0].Err, config.ErrTooLarge) })
	if got := c.Get("n").Int(0); got != 1 {
		t.Errorf("n: got %d, want 1", got)
	}
}

func TestDirectoryMergesFilesInOrderAndKnowsWhichFileSetAValue(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "10-base.yaml"), "server:\n  addr: :80\n  tls: true\n")
	write(t, filepath.Join(dir, "20-prod.toml"), "[server]\naddr = ':443'\n")
	write(t, filepath.Join(dir, "30-more.json"), "{\n \"server\": {\"tls\": null},\n \"x\": 1}")
	write(t, filepath.Join(dir, ".hidden.json"), "{")
	write(t, filepath.Join(dir, "README.txt"), "not configuration")
	c := open(t, file.Source(dir, file.WithFormat(yaml.Format{}), file.WithFormat(toml.Format{})))
	if got, want := string(c.Snapshot().Bytes()), `{"server":{"addr":":443"},"x":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	o, _ := c.Snapshot().Origin("server.addr")
	if o.Part != "20-prod.toml" || o.Line != 2 || o.Source != "file "+dir {
		t.Errorf("Origin of server.addr: got %+v, want line 2 of 20-prod.toml", o)
	}
	write(t, filepath.Join(dir, "25-new.yaml"), "server: {addr: ':8443'}")
	seen(t, "new file", func() bool { return c.Get("server.addr").String("") == ":8443" })
	must(t, os.Remove(filepath.Join(dir, "25-new.yaml")))
	seen(t, "removed file", func() bool { return c.Get("server.addr").String("") == ":443" })
}

func TestFileWithoutAFormatNamesTheImport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.yaml")
	write(t, path, "n: 1")
	_, err := config.New(config.WithSource(file.Source(path)))
	if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), `"github.com/micro/go-platform/config/yaml"`) {
		t.Errorf("got %v, want ErrInvalid that names the package to import", err)
	}
}

func TestFileThatIsNotInItsFormatSaysWhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.yaml")
	write(t, path, "a: 1\nb: [1, 2\nc: 3\n")
	_, err := config.New(config.WithSource(file.Source(path, file.WithFormat(yaml.Format{}))))
	if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), "app.yaml") || !strings.Contains(err.Error(), "line 2") && !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v, want ErrInvalid with file and line", err)
	}
}

func TestBadOptionsAreErrorsOfNew(t *testing.T) {
	for name, s := range map[string]config.Source{
		"empty path":     file.Source(""),
		"nil option":     file.Source("a.json", nil),
		"nil format":     file.Source("a.json", file.WithFormat(nil)),
		"unknown suffix": file.Source("a.hcl"),
	} {
		if c, err := config.New(config.WithSource(s)); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
			if err == nil {
				c.Close()
			}
		}
	}
}

func open(t *testing.T, s config.Source) config.Config {
	t.Helper()
	c, err := config.New(config.WithSource(s), config.WithDebounce(time.Millisecond))
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func seen(t *testing.T, what string, ok func() bool) {
	t.Helper()
	configtest.Eventually(t, 30*time.Second, what, ok)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinkToAFileElsewhereIsFollowed(t *testing.T) {
	here, there := t.TempDir(), t.TempDir()
	real := filepath.Join(there, "real.json")
	write(t, real, `{"n":1}`)
	must(t, os.Symlink(real, filepath.Join(here, "app.json")))
	for _, watched := range []string{filepath.Join(here, "app.json"), here} {
		c := open(t, file.Source(watched, file.WithInterval(time.Hour)))
		first := c.Get("n").Int(0)
		for n := first + 1; n <= first+2; n++ { // the first may be what the watch begins with
			write(t, real+".new", `{"n":`+string(rune('0'+n))+`}`)
			must(t, os.Rename(real+".new", real))
			seen(t, "change where the link leads", func() bool { return c.Get("n").Int(0) == n })
		}
	}
}

func TestDirectoryThatIsReplacedAtOnceIsStillWatched(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "conf")
	path := filepath.Join(dir, "app.json")
	must(t, os.Mkdir(dir, 0o755))
	write(t, path, `{"n":0}`)
	c := open(t, file.Source(path, file.WithInterval(time.Hour)))
	const late = 30 * time.Second // the last look after a notice comes eight seconds later
	for n := 1; n <= 5; n++ {
		must(t, os.RemoveAll(dir))
		must(t, os.Mkdir(dir, 0o755))
		write(t, path, `{"n":`+string(rune('0'+n))+`}`)
		configtest.Eventually(t, late, "the new directory's file", func() bool { return c.Get("n").Int(0) == n })
		write(t, path, `{"n":`+string(rune('0'+n))+`,"again":true}`)
		configtest.Eventually(t, late, "a write in it", func() bool { return c.Get("again").Bool(false) })
	}
}
