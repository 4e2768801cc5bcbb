package file

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/micro/go-platform/config"
)

// Which directories are watched for a path: those whose notices can be about
// it, and no others.
func TestWhichDirectoriesAreWatched(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"conf/below", "releases/1/etc", "there"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"conf/a.json", "releases/1/etc/a.json", "there/b.json"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"current":      "releases/1",
		"conf/b.json":  filepath.Join(root, "there/b.json"),
		"one.json":     "conf/b.json",
		"round.json":   "about.json",
		"about.json":   "round.json",
		"linked":       "conf",
		"nowhere.json": "gone/away.json",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"conf/a.json":        "conf",
		"conf/none.json":     "conf",
		"none/none/a.json":   ".",
		"conf/b.json":        "conf there",
		"one.json":           ". conf there",
		"current/etc/a.json": ". releases releases/1/etc",
		"conf":               ". conf there",
		"linked":             ". conf there",
		"round.json":         ".",
		"nowhere.json":       ".",
	} {
		s := &source{path: filepath.Join(root, path)}
		var got []string
		for dir := range s.needed() {
			name, err := filepath.Rel(root, dir)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// follow also ends the watch of what is needed no more.
func TestWatchesFollowTheLinks(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	here, one, two := filepath.Join(root, "here"), filepath.Join(root, "one"), filepath.Join(root, "two")
	for _, dir := range []string{here, one, two} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	link := filepath.Join(here, "a.json")
	s, watched := &source{path: link}, map[string]bool{}
	for _, dir := range []string{one, two} {
		_ = os.Remove(link)
		if err := os.Symlink(filepath.Join(dir, "a.json"), link); err != nil {
			t.Fatal(err)
		}
		if !s.follow(w, watched) {
			t.Error("follow failed")
		}
		got := w.WatchList()
		slices.Sort(got)
		if want := []string{here, dir}; !slices.Equal(got, want) || !maps.Equal(watched, map[string]bool{here: true, dir: true}) {
			t.Errorf("watched are %v and %v, want %v", got, watched, want)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if s.follow(w, map[string]bool{}) {
		t.Error("followed with a watcher that is closed")
	}
}

// When a file is read again after a notice, and how many looks there have been.
func TestWhenAFileIsReadAgain(t *testing.T) {
	write, chmod := fsnotify.Event{Op: fsnotify.Write}, fsnotify.Event{Op: fsnotify.Chmod}
	type do func(ctx context.Context, w *fsnotify.Watcher, cancel func())
	nothing := func(context.Context, *fsnotify.Watcher, func()) {}
	every := func(e fsnotify.Event, d time.Duration) do {
		return func(ctx context.Context, w *fsnotify.Watcher, _ func()) {
			for ctx.Err() == nil {
				select {
				case w.Events <- e:
				case <-ctx.Done():
				}
				time.Sleep(d)
			}
		}
	}
	failing := func(err error) do {
		return func(_ context.Context, w *fsnotify.Watcher, _ func()) { w.Errors <- err }
	}
	sorry := errors.New("sorry")
	for _, c := range []struct {
		what   string
		looked int
		do     do
		after  time.Duration
		want   int
		err    error
	}{
		{"nothing", looks, nothing, time.Minute, looks, nil},
		{"nothing, after a notice", 0, nothing, 200 * time.Millisecond, 1, nil},
		{"nothing, after the first look", 1, nothing, 600 * time.Millisecond, 2, nil},
		{"nothing, before the last look", looks - 1, nothing, 5400 * time.Millisecond, looks, nil},
		{"a write", looks, func(_ context.Context, w *fsnotify.Watcher, _ func()) { w.Events <- write }, settle, 0, nil},
		{"writes without an end", looks, every(write, settle/2), settle, 0, nil},
		{"a file that is only touched", looks, every(chmod, time.Second), time.Minute, looks, nil},
		{"an overflow", looks, failing(fsnotify.ErrEventOverflow), 0, 0, nil},
		{"another error", looks, failing(sorry), 0, 0, config.ErrUnavailable},
		{"the end of the errors", looks, func(_ context.Context, w *fsnotify.Watcher, _ func()) { close(w.Errors) }, 0, 0, config.ErrUnavailable},
		{"the end of the notices", looks, func(_ context.Context, w *fsnotify.Watcher, _ func()) { close(w.Events) }, 0, 0, config.ErrUnavailable},
		{"the end of the context", looks, func(_ context.Context, _ *fsnotify.Watcher, cancel func()) { cancel() }, 0, 0, context.Canceled},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &fsnotify.Watcher{Events: make(chan fsnotify.Event), Errors: make(chan error)}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began, tick := time.Now(), time.After(time.Minute)
			ended := make(chan struct{})
			go func() { c.do(ctx, w, cancel); close(ended) }()
			looked, err := (&source{}).wait(ctx, w, tick, c.looked)
			if took := time.Since(began); took != c.after || looked != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: %d, %v after %v, want %d, %v after %v", c.what, looked, err, took, c.want, c.err, c.after)
			}
			cancel()
			<-ended
		})
	}
}

// Without notices a file is looked at each second, or more often.
func TestWithoutNoticesAFileIsLookedAt(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{time.Minute: time.Second, time.Millisecond: time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := &source{path: filepath.Join(t.TempDir(), "none.json"), interval: interval}
			ctx, cancel := context.WithCancel(t.Context())
			began, n := time.Now(), 0
			err := s.look(ctx, func(_ config.Content, err error) {
				if !errors.Is(err, config.ErrNotFound) {
					t.Errorf("delivered %v", err)
				}
				n++
				if n == 4 {
					cancel()
				}
			})
			if took := time.Since(began); !errors.Is(err, context.Canceled) || took != 3*want {
				t.Errorf("interval %v: %v after %v, want %v", interval, err, took, 3*want)
			}
		})
	}
}
