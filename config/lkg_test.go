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
