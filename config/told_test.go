package config_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

// The log says once that a source fails, what runs then, and that it is back.
func TestTheLogTellsOfEachTurnOfASource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		fails.Store(true)
		source := sourceFunc(func(context.Context) (config.Content, error) {
			if fails.Load() {
				return config.Content{}, errors.New("down")
			}
			return config.Content{Parts: []config.Part{{Data: []byte(`{"a":1}`)}}, Revision: "1"}, nil
		})
		var log strings.Builder
		c, err := config.New(config.WithSource(source, config.Optional(), config.Poll(time.Second)), config.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []bool{true, false, true, false} {
			fails.Store(f)
			time.Sleep(time.Minute)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for says, want := range map[string]int{"it has no values yet": 1, "its last values stay": 1, "source is back": 2} {
			if got := strings.Count(log.String(), says); got != want {
				t.Errorf("%q was said %d times, want %d:\n%s", says, got, want, &log)
			}
		}
	})
}

// What was saved is what it was: a text that stands for any type, and a part that no
// output shows. A file without what is required, or that can't be read, is of no use.
func TestSavedContentKeepsItsNature(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "good.json")
	text := func(s string) *config.Node { return &config.Node{Kind: config.Text, Text: s} }
	m := config.Memory("m", nil)
	m.Update(config.Content{Revision: "1", Parts: []config.Part{
		{Name: "open", Root: &config.Node{Kind: config.Object, Members: []config.Member{{Key: "port", Value: text("80")}, {Key: "list", Value: text("a,b")}}}},
		{Name: "shut", Secret: true, Data: []byte(`{"account":"hunter2"}`)},
	}}, nil)
	keep := config.WithLastKnownGood(saved, 0)
	check := func(c config.Config, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.Get("port").Int(0) != 80 || len(c.Get("list").Strings(nil)) != 2 || c.Get("account").String("") != hunter {
			t.Errorf("got %s", c.Snapshot().Bytes())
		}
		if s := c.Snapshot().String(); strings.Contains(s, hunter) || !strings.Contains(s, "80") {
			t.Errorf("shown as %s", s)
		}
	}
	check(config.New(config.WithSource(m), keep))
	m.Update(config.Content{}, errAway)
	check(config.New(config.WithSource(m), keep))
	check(config.New(config.WithSource(m), keep)) // it was saved again
	other := config.Memory("other", nil)
	other.Update(config.Content{}, errAway)
	if c, err := config.New(config.WithSource(m), config.WithSource(other), keep); !errors.Is(err, config.ErrUnavailable) {
		t.Errorf("without a source that is required: %v, %v", c, err)
	}
}

func TestNewSaysWhetherItWasAnsweredOrRefused(t *testing.T) {
	m := config.Memory("m", []byte("{"))
	_, refused := config.New(config.WithSource(m))
	m.Update(config.Content{}, errAway)
	_, away := config.New(config.WithSource(m))
	if !errors.Is(refused, config.ErrInvalid) || errors.Is(refused, config.ErrUnavailable) || !errors.Is(away, config.ErrUnavailable) || errors.Is(away, config.ErrInvalid) {
		t.Errorf("refused: %v; no answer: %v", refused, away)
	}
	for _, err := range []error{refused, away} {
		if !strings.HasPrefix(err.Error(), "config: new: ") {
			t.Errorf("got %v", err)
		}
	}
}

// Bind speaks of itself, though it stands on Subscribe, and hides no field that is no secret.
func TestBindSpeaksOfItself(t *testing.T) {
	c, _ := open(t, `{"plain":"x","pin":"hunter2"}`)
	_, err := config.Bind[struct{ Plain int }](c, "", config.AllowUnknown())
	if err == nil || !strings.Contains(err.Error(), "bind") || strings.Contains(err.Error(), "subscribe") {
		t.Errorf("got %v", err)
	}
	_, err = config.Bind[struct {
		Plain string
		Pin   string `config:"pin,secret"`
	}](c, "")
	if got := c.Snapshot().String(); err != nil || got != `{"pin":"[redacted]","plain":"x"}` {
		t.Errorf("got %s, %v", got, err)
	}
}
