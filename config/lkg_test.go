package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

func TestStartWithASourceDownUsesLastKnownGoodAndSaysSo(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "good.json")
	remote, local := config.Memory("remote", []byte(`{"a":1,"x":null,"token":"t"}`)), config.Memory("local", []byte(`{"x":1,"b":1}`))
	start := func(maxAge time.Duration) (config.Config, error) {
		return config.New(config.WithSource(local), config.WithSource(remote), config.WithLastKnownGood(saved, maxAge), config.WithDebounce(time.Microsecond))
	}
	c, err := start(0)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("saved file: %v, %v, want mode 0600", info.Mode(), err)
	}

	remote.Update(config.Content{}, errAway)
	local.Set([]byte(`{"x":2,"b":2}`)) // is up: its own content counts
	if c, err = start(0); err != nil {
		t.Fatalf("start with a source down: %v", err)
	}
	if got := string(c.Snapshot().Bytes()); got != `{"a":1,"b":2,"token":"t"}` {
		t.Errorf("got %s", got)
	}
	h := c.Health()
	if h.OK || h.Restored.IsZero() || !h.Sources[1].Restored || h.Sources[0].Restored || !errors.Is(h.Err(), config.ErrUnavailable) {
		t.Errorf("Health doesn't say that it runs on old content: %+v", h)
	}
	if o, _ := c.Snapshot().Origin("a"); !strings.Contains(o.Source, "last known good") {
		t.Errorf("Origin: %v", o)
	}
	first := h.Restored
	c.Close()
	if c, err = start(0); err != nil { // a second start doesn't make it younger
		t.Fatal(err)
	}
	if got := c.Health().Restored; !got.Equal(first) {
		t.Errorf("age was reset from %v to %v", first, got)
	}
	remote.Set([]byte(`{"a":5}`))
	if err := c.Reload(t.Context()); err != nil || !c.Health().OK || c.Get("a").Int(0) != 5 || !c.Health().Restored.IsZero() {
		t.Errorf("after the source is back: %v, %+v", err, c.Health())
	}
	c.Close()

	remote.Update(config.Content{}, errAway)
	if _, err := start(time.Nanosecond); !errors.Is(err, config.ErrUnavailable) || !strings.Contains(err.Error(), "old, more than 1ns") {
		t.Errorf("too old content: got %v, want ErrUnavailable that says so", err)
	}
	os.WriteFile(saved, []byte("{"), 0o600)
	if _, err := start(0); !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("broken file: got %v, want ErrUnavailable", err)
	}
}

func TestStartWithRefusedContentUsesLastKnownGood(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "good.json")
	m := config.Memory("m", []byte(`{"port":80}`))
	t.Setenv("LKGT_LEVEL", "7")
	valid := func(_ context.Context, s *config.Snapshot) error {
		if s.Get("port").Int(0) == 0 || s.Get("level").Int(0) != 7 {
			return errors.New("no port")
		}
		return nil
	}
	start := func() (config.Config, error) {
		return config.New(config.WithSource(m), config.WithSource(config.Env("LKGT")), config.WithLastKnownGood(saved, 0), config.WithValidator(valid), config.WithDebounce(time.Microsecond))
	}
	c, err := start()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	before, _ := os.ReadFile(saved)
	m.Set([]byte(`{"port":0}`))
	if c, err = start(); err != nil {
		t.Fatalf("start with refused content: %v", err)
	}
	if h := c.Health(); c.Get("port").Int(0) != 80 || h.OK || h.Rejected == nil || h.Restored.IsZero() {
		t.Errorf("port %v, health %+v", c.Get("port"), h)
	}
	if after, _ := os.ReadFile(saved); string(after) != string(before) {
		t.Errorf("refused content was saved: %s", after)
	}
	m.Set([]byte(`{"port":81}`))
	if err := c.Reload(t.Context()); err != nil || c.Get("port").Int(0) != 81 || !c.Health().OK {
		t.Errorf("after the repair: %v, %+v", err, c.Health())
	}
	c.Close()
	os.Remove(saved)
	m.Set([]byte(`{"port":0}`))
	if _, err := start(); !errors.Is(err, config.ErrDenied) {
		t.Errorf("without a saved file: got %v, want ErrDenied", err)
	}
}

// A source that is down leaves what another one said as it was: once what follows a refused
// change runs, nothing is refused any more, and the next start has it.
func TestAChangeAfterARefusedOneIsSavedWhileASourceIsDown(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "good.json")
	synctest.Test(t, func(t *testing.T) {
		down, up := config.Memory("down", []byte(`{"a":1}`)), config.Memory("up", []byte(`{"port":80}`))
		start := func() config.Config {
			c, err := config.New(config.WithSource(down), config.WithSource(up), config.WithLastKnownGood(saved, 0), config.WithValidator(func(_ context.Context, s *config.Snapshot) error {
				if s.Get("port").Int(0) == 0 {
					return errors.New("no port")
				}
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		start().Close()
		down.Update(config.Content{}, errAway)
		c := start()
		up.Set([]byte(`{"port":0}`))
		time.Sleep(time.Second)
		if h := c.Health(); c.Get("port").Int(0) != 80 || h.Rejected == nil || h.Restored.IsZero() {
			t.Errorf("after a refused change: port %v, %+v", c.Get("port"), h)
		}
		up.Set([]byte(`{"port":81}`))
		time.Sleep(time.Second)
		if h := c.Health(); c.Get("port").Int(0) != 81 || h.Rejected != nil || h.Restored.IsZero() {
			t.Errorf("after a good one: port %v, %+v", c.Get("port"), h)
		}
		c.Close()
		up.Update(config.Content{}, errAway)
		c = start()
		defer c.Close()
		if got := string(c.Snapshot().Bytes()); got != `{"a":1,"port":81}` {
			t.Errorf("the next start has %s", got)
		}
	})
}

// Close waits for one subscriber that does not heed its context, not for each in turn.
func TestSubscribersAreNotAskedOnceTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := config.Memory("m", []byte(`{"n":1}`))
		c, err := config.New(config.WithSource(m))
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		for range 3 {
			_, err := c.Subscribe("n", func(_ context.Context, ch config.Change) (func(), error) {
				if ch.New.Int(0) == 2 {
					asked++
					time.Sleep(900 * time.Millisecond)
				}
				return nil, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		m.Set([]byte(`{"n":2}`))
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		c.Close()
		if took := time.Since(start); took > 900*time.Millisecond || asked != 1 {
			t.Errorf("Close took %v, and %d were asked, want one", took, asked)
		}
	})
}

func TestSavedFileThatCanNotBeWrittenShowsInHealth(t *testing.T) {
	c, _ := open(t, `{}`, config.WithLastKnownGood(filepath.Join(t.TempDir(), "no", "such", "directory"), 0))
	if h := c.Health(); h.Unsaved == nil || !h.OK {
		t.Errorf("got %+v, want Unsaved", h)
	}
}

func TestContentThatIsFollowedDoesNotGrowOld(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "good.json")
	synctest.Test(t, func(t *testing.T) {
		m := config.Memory("m", []byte(`{"n":1}`))
		start := func() (config.Config, error) {
			return config.New(config.WithSource(m), config.WithLastKnownGood(saved, time.Hour))
		}
		c, err := start()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour) // without a change
		m.Update(config.Content{}, errAway)
		time.Sleep(30 * time.Minute)
		c.Close()
		if c, err = start(); err != nil {
			t.Fatalf("30 minutes after the source went away: %v", err)
		}
		if age := time.Since(c.Health().Restored); age < 30*time.Minute || age > time.Hour {
			t.Errorf("age is %v, want that since the source went away, about", age)
		}
		time.Sleep(time.Hour)
		c.Close()
		if _, err = start(); !errors.Is(err, config.ErrUnavailable) {
			t.Errorf("later: got %v, want ErrUnavailable", err)
		}
	})
}
